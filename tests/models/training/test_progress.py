"""What is left of a run is told from what is done, what its stages usually take, and the clock."""

from models.training.progress import Outlook


class Clock:
    """Set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_a_run_takes_as_much_longer_as_its_stages_have_taken_so_far() -> None:
    """Half of the usual time done in 30 s: 30 s more. Stages that no one counted with change nothing."""
    clock = Clock()
    outlook = Outlook({"features": 10.0, "fit": 40.0}, clock)
    outlook.report("features", 0, 5)
    assert outlook.left_s is None
    clock.now = 6.0
    outlook.report("features", 5, 5)
    assert outlook.left_s == 24.0
    clock.now = 30.0
    outlook.report("fit", 0, 20)
    outlook.report("fit", 7, 20)
    outlook.report("fit", 15, 40)
    outlook.report("strange", 1, 2)
    assert outlook.share == 0.5
    assert outlook.left_s == 30.0
    assert outlook.took_s == {"features": 6.0, "fit": 0.0, "strange": 0.0}


def test_what_an_earlier_process_kept_is_done_and_took_no_time() -> None:
    """A stage that begins at 15 of 20 has 5 to go, at the pace of the others."""
    clock = Clock()
    outlook = Outlook({"features": 10.0, "fit": 20.0}, clock)
    outlook.report("features", 0, 5)
    clock.now = 10.0
    outlook.report("features", 5, 5)
    outlook.report("fit", 15, 20)
    assert outlook.left_s == 5.0


def test_a_stage_that_ends_early_is_done() -> None:
    """It reports as many as it did, of as many."""
    clock = Clock()
    outlook = Outlook({"fit": 20.0, "report": 20.0}, clock)
    outlook.report("fit", 0, 20)
    clock.now = 8.0
    outlook.report("fit", 4, 20)
    outlook.report("fit", 4, 4)
    assert outlook.left_s == 8.0
