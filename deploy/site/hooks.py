"""What MkDocs builds beside docs/: pages made of the code, and the pages of the repository's root. Links are made to fit.

A link to a source file becomes its name: the site is built without an outside address.
"""

import json
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

import click
import typer
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

ROOT_PAGES = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def commands_page() -> str:
    """`assay`, every command with its arguments, options and example: what `--help` says."""
    from typer.cli import get_docs_for_click

    from services.cli.app import app

    command = typer.main.get_command(app)
    context = click.Context(command, info_name="assay")
    return get_docs_for_click(obj=command, ctx=context, name="assay", title="Commands")


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3.0: each topic a channel with its message's schema."""
    from schemas.topics import TOPICS

    channels, messages, schemas = {}, {}, {}
    for topic in TOPICS:
        name = topic.schema.__name__
        schema = topic.schema.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[name] = schema
        messages[name] = {"contentType": "application/json", "payload": {"$ref": f"#/components/schemas/{name}"}}
        channels[topic.name] = {
            "address": topic.name,
            "description": f"Written by {topic.written_by}; keyed by {topic.key}.",
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Assay", "version": "1", "description": "Topics of Assay, without their prefix."},
        "channels": channels,
        "components": {"messages": messages, "schemas": schemas},
    }


def on_files(files: Files, config: Any) -> Files:
    """Add what is not in docs/."""
    for name in ROOT_PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, "reference/commands.md", content=commands_page()))
    files.append(File.generated(config, "reference/asyncapi.json", content=json.dumps(asyncapi(), indent=1)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links to pages of the site lead there; links to source files become what they name. Code stays as it is."""
    source = page.file.src_uri
    here = "" if source in ROOT_PAGES else posixpath.join("docs", posixpath.dirname(source))

    def fitted(found: re.Match[str]) -> str:
        text, target = found["text"], found["target"]
        if target.startswith(("#", "mailto:")) or "://" in target:
            return found[0]
        path, _, anchor = target.partition("#")
        at = posixpath.normpath(posixpath.join(here, path))
        uri = at.removeprefix("docs/")
        if uri == "README.md":
            uri = "index.md"
        if files.get_file_from_path(uri) is None or uri.startswith("examples/"):
            return text if "`" in text else f"`{text}`"
        back = posixpath.relpath(uri, posixpath.dirname(source) or ".")
        return f"[{text}]({back}{'#' + anchor if anchor else ''})"

    parts = FENCE.split(markdown)
    return "".join(part if part.startswith("```") else LINK.sub(fitted, part) for part in parts)
