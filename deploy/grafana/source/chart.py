"""What a dashboard is made of, declared; and the same as objects of Grafana's SDK."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.models.common import BarGaugeDisplayMode, LegendDisplayMode, LegendPlacement, VizOrientation
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef, VariableRefresh, VariableSort
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE_VARIABLE = "datasource"
SOURCE = DataSourceRef(type_val="prometheus", uid=f"${{{SOURCE_VARIABLE}}}")
"""Chosen at the top of a dashboard, so that it can be imported by hand anywhere: Grafana begins with its default one."""

TAG = "assay"
RUNBOOKS_UID = "assay-runbooks"
JOBS = 'job=~"$job"'
"""Chooses the processes that the variable at the top of a dashboard names."""

Kind = Literal["lines", "stacked", "number", "heatmap", "bars", "states"]
SPANS: dict[Kind, tuple[int, int]] = {
    "lines": (12, 8),
    "stacked": (12, 8),
    "number": (6, 4),
    "heatmap": (12, 8),
    "bars": (12, 8),
    "states": (12, 6),
}
"""Width (of 24) and height of a panel."""


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and what a series is called. quiet: the fault without which it has no data; None where it always has."""

    expr: str
    legend: str = ""
    quiet: str | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """One panel. unit: Grafana's id of it. runbook: anchor in docs/runbooks.md."""

    title: str
    unit: str
    description: str
    queries: Sequence[Query]
    runbook: str
    kind: Kind = "lines"


@dataclass(frozen=True, slots=True)
class Section:
    """A row of panels under a title."""

    title: str
    charts: Sequence[Chart]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. by_job: its queries take the variable `job`."""

    uid: str
    title: str
    description: str
    sections: Sequence[Section]
    by_job: bool = False

    @property
    def charts(self) -> list[Chart]:
        """Every chart, in order."""
        return [chart for section in self.sections for chart in section.charts]


def build(board: Board, runbook_panels: dict[str, int]) -> Any:
    """The SDK's dashboard. runbook_panels: panel on the runbooks' dashboard, by anchor."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .link(
            dashboard.DashboardLink("Assay")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    made = made.with_variable(
        dashboard.DatasourceVariable(SOURCE_VARIABLE).label("Data source").type(SOURCE.type_val or "")
    )
    if board.by_job:
        made = made.with_variable(_jobs())
    panel_id = 0
    for section in board.sections:
        panel_id += 1
        made = made.with_row(dashboard.Row(section.title).id(panel_id))
        for chart in section.charts:
            panel_id += 1
            made = made.with_panel(_panel(chart, panel_id, runbook_panels[chart.runbook]))
    return made.build()


def _jobs() -> Any:
    return (
        dashboard.QueryVariable("job")
        .label("Service")
        .datasource(SOURCE)
        .query("label_values(assay_ready, job)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(chart: Chart, panel_id: int, runbook_panel: int) -> Any:
    width, height = SPANS[chart.kind]
    link = (
        dashboard.DashboardLink("Runbook")
        .type(DashboardLinkType.LINK)
        .url(f"/d/{RUNBOOKS_UID}?viewPanel={runbook_panel}")
    )
    panel = (
        _BUILDERS[chart.kind](chart)
        .id(panel_id)
        .title(chart.title)
        .description(chart.description)
        .datasource(SOURCE)
        .span(width)
        .height(height)
        .links([link])
    )
    for place, query in enumerate(chart.queries):
        panel = panel.with_target(_target(query, chr(ord("A") + place), chart.kind))
    return panel


def _target(query: Query, ref_id: str, kind: Kind) -> Any:
    target = prometheus.Dataquery().expr(query.expr).ref_id(ref_id).datasource(SOURCE)
    if query.legend:
        target = target.legend_format(query.legend)
    if kind == "heatmap":
        target = target.format(PromQueryFormat.HEATMAP).legend_format("{{le}}")
    if kind == "lines" and query.expr.startswith("histogram_quantile"):
        target = target.exemplar(True)
    return target.instant() if kind in ("number", "bars") else target.range()


def _legend() -> Any:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.TABLE).placement(LegendPlacement.BOTTOM)
    return legend.show_legend(True).calcs(["lastNotNull", "max"])


def _lines(chart: Chart) -> Any:
    return timeseries.Panel().unit(chart.unit).min(0).line_width(1).fill_opacity(5).legend(_legend())


def _stacked(chart: Chart) -> Any:
    from grafana_foundation_sdk.models.common import StackingMode

    return _lines(chart).fill_opacity(40).stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))


def _number(chart: Chart) -> Any:
    return stat.Panel().unit(chart.unit).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))


def _heatmap(chart: Chart) -> Any:
    axis = heatmap.YAxisConfig().unit(chart.unit)
    colours = heatmap.HeatmapColorOptions().scheme("Oranges").steps(64)
    return heatmap.Panel().unit("short").calculate(False).y_axis(axis).color(colours).show_tooltip().hide_legend()


def _bars(chart: Chart) -> Any:
    panel = bargauge.Panel().unit(chart.unit).min(0).display_mode(BarGaugeDisplayMode.BASIC)
    reduce = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    return panel.orientation(VizOrientation.HORIZONTAL).reduce_options(reduce)


def _states(chart: Chart) -> Any:
    return statetimeline.Panel().unit(chart.unit).merge_values(True)


_BUILDERS: dict[Kind, Callable[[Chart], Any]] = {
    "lines": _lines,
    "stacked": _stacked,
    "number": _number,
    "heatmap": _heatmap,
    "bars": _bars,
    "states": _states,
}
