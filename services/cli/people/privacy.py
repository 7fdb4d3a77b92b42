"""`assay privacy`: keys, pseudonyms at the edge, and erasure of what was recorded about a subject."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.output import print_json, results

app = typer.Typer(help="Pseudonyms of cards, and keys that can be erased.", no_args_is_help=True)

NOT_THERE = 1

Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


@app.command(epilog="Example: assay privacy keygen keys/cards")
def keygen(path: Annotated[Path, typer.Argument(help="Where to, without the ending.")], json: Json = False) -> None:
    """Make a secret key, PATH.secret, readable by you alone, for ASSAY_PSEUDONYM_KEY_FILE or ASSAY_SUBJECT_KEY_FILE.

    One for each purpose. Existing files are not overwritten.
    """
    from models.bundle.keys import write_seal_key

    made = {"file": f"{path}.secret", "fingerprint": write_seal_key(path, ".secret").key_id}
    if json:
        print_json(made)
    else:
        results.print(f"{made['file']} (fingerprint {made['fingerprint']})")


@app.command(epilog="Example: assay privacy erase k1:4vnmq2x7tdz3cgl5ah2oq6bwzu --yes")
def erase(
    subject: Annotated[str, typer.Argument(help="The card's id, as on `transactions`.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Destroy a subject's key: no one can open its sealed decisions any more. SECURITY.md says what remains elsewhere.

    Scorers look keys up again after a minute; what they seal of the subject until then is lost with the rest. Exits with 1
    where the subject has no key.
    """
    from services.cli.masking import masked
    from services.errors import AssayError
    from services.privacy.subject_keys import SubjectKeysError, subject_keys
    from services.settings.loading import load
    from services.settings.privacy import SubjectSettings

    keys = subject_keys(load(SubjectSettings))
    if keys is None:
        raise AssayError("Subjects are found by the key that seals: set ASSAY_SUBJECT_KEY or ASSAY_SUBJECT_KEY_FILE.")
    if not yes:
        typer.confirm(f"Destroy the key of {masked(subject)}? This cannot be undone.", abort=True, err=True)
    try:
        erased = keys.erase(subject)
    except SubjectKeysError as error:
        raise AssayError(f"Nothing was erased: {error}.") from None
    if json:
        print_json({"subject": masked(subject), "reference": keys.reference(subject), "erased": erased})
    elif erased:
        results.print(f"{masked(subject)} is erased: decisions sealed as {keys.reference(subject)} no longer open.")
    else:
        results.print(f"{masked(subject)} has no key here: nothing of it is sealed, or it is erased already.")
    if not erased:
        raise typer.Exit(NOT_THERE)
