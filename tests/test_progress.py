"""Progress goes to standard error, as plain lines where nobody watches a terminal."""

from handdata import progress


def test_messages_go_to_standard_error(capsys):
    progress.say("one line\n")

    assert capsys.readouterr() == ("", "one line\n")


def test_quick_work_says_nothing(capsys):
    assert list(progress.track(range(3), "count", 3)) == [0, 1, 2]

    assert capsys.readouterr() == ("", "")


def test_long_work_tells_how_far_it_is_and_what_is_left(capsys, monkeypatch):
    now = iter([0.0, 12.0, 13.0, 30.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))

    with progress.meter("convert", 4) as gauge:
        gauge.advance(note="a.h5")
        gauge.advance()
        gauge.advance()

    assert capsys.readouterr().err == "convert: 1/4, 12 s, 36 s left a.h5\nconvert: 3/4, 30 s, 10 s left\n"


def test_work_of_unknown_length_counts(capsys, monkeypatch):
    now = iter([0.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))

    with progress.meter("scan") as gauge:
        gauge.advance(7)

    assert capsys.readouterr().err == "scan: 7, 20 s\n"


def test_what_a_terminal_would_obey_is_escaped(capsys):
    progress.say("sequence \x1b]0;x\x07 left out")

    assert capsys.readouterr().err == "sequence \\x1b]0;x\\x07 left out\n"
