"""`--corrections`: labels that replace those of the manifest."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from convert_cases import convert, draw_sources, options_of, plan_of_rows, write_manifest

from convert.command.printed import csv_cell, from_csv_cell
from convert.dataset.read import read_dataset
from convert.errors import TooManyBadRowsError, UsageError
from convert.job import convert_dataset
from convert.job.label_notes import label_of
from convert.plan.corrections import rounds_from_json
from convert.plan.corrections_file import read_corrections
from convert.plan.shard_specs import Plan, make_plan
from convert.verify import VerifyConfig, verify_dataset
from convert.write.open_inputs import open_manifest

HEADER = "path,row,split,label,decision,text"
ROWS = ("a.png,ab", "b.png,cd", "c.png,ab", "d.png,dc")


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "corrections.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def planned(
    folder: Path, *lines: str, rows=ROWS, columns="path,text", header=HEADER, **more
) -> Plan:
    """Plans rows with corrections, into one split."""
    cells = [row.split(",") for row in rows]
    manifest = write_manifest(folder / "m.csv", columns.split(","), cells)
    config = options_of(manifest, split=(("train", 1.0),), **more)
    corrections = read_corrections(str(written(folder, *lines, header=header)))
    return make_plan(open_manifest(config), config, {}, [corrections])


def labels(plan: Plan) -> list[str]:
    return [label_of(plan, row) for row in range(plan.manifest.num_rows)]


def test_decisions_are_applied(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        "a.png,0,train,ab,suggestion,ac",
        "b.png,1,train,cd,label,cd",
        "c.png,2,train,ab,neither,bb",
        "d.png,3,train,dc,neither,",
    )
    assert labels(plan)[:3] == ["ac", "cd", "bb"]
    assert [(q.row, q.reason) for q in plan.quarantined] == [(3, "label_rejected")]
    assert plan.corrected is not None
    assert plan.corrected.line() == (
        "corrections: 2 labels corrected, 1 found right, 1 rows left out"
    )
    assert plan.options["corrections"] == [
        ["a.png", 0, "ab", "ac"], ["c.png", 2, "ab", "bb"], ["d.png", 3, "dc", None],
    ]  # fmt: skip


def test_a_list_of_paths_and_texts_is_enough(tmp_path: Path) -> None:
    plan = planned(tmp_path, "c.png,dd", "a.png,ab", header="path,text")
    assert labels(plan) == ["ab", "cd", "dd", "dc"]
    assert plan.corrected is not None
    assert "1 labels corrected, 1 were so already" in plan.corrected.line()


def test_what_is_found_right_changes_nothing(tmp_path: Path) -> None:
    """Not even the plan's id: the same dataset would come of it."""
    plan = planned(tmp_path, "a.png,0,train,ab,label,ab")
    assert plan.plan_id == plan_of_rows(tmp_path, "path,text", *ROWS).plan_id
    assert "corrections" not in plan.options
    assert plan.plan_id != planned(tmp_path, "a.png,0,train,ab,suggestion,ac").plan_id


def test_rounds_are_applied_in_their_order(tmp_path: Path) -> None:
    """A second audit judges the labels that the first one left."""
    first = ("a.png,0,,ab,suggestion,ac", "b.png,1,,cd,neither,", "c.png,2,,ab,neither,")
    second = ("a.png,0,,ac,suggestion,ad", "c.png,2,,ab,neither,bb", "d.png,3,,dc,label,dc")
    manifest = write_manifest(tmp_path / "m.csv", ["path", "text"], [r.split(",") for r in ROWS])
    config = options_of(manifest, split=(("train", 1.0),))
    rounds = [read_corrections(str(written(tmp_path, *lines))) for lines in (first, second)]
    plan = make_plan(open_manifest(config), config, {}, rounds)
    assert [labels(plan)[row] for row in (0, 2, 3)] == ["ad", "bb", "dc"]
    assert [(q.row, q.reason) for q in plan.quarantined] == [(1, "label_rejected")]
    assert plan.corrected is not None
    assert plan.corrected.line() == (
        "corrections: 3 labels corrected, 1 found right, 1 rows left out"
    )
    again = rounds_from_json(plan.options["corrections"], "dataset.json")
    assert make_plan(open_manifest(config), config, {}, again).plan_id == plan.plan_id
    with pytest.raises(UsageError, match="row 0 is labelled 'ab', and was 'ac' when"):
        make_plan(open_manifest(config), config, {}, rounds[::-1])


def test_columns_of_labels(tmp_path: Path) -> None:
    rows = ("a.png,ab,x", "b.png,c,y")
    given = {"rows": rows, "columns": "path,y0,y1"}
    plan = planned(tmp_path, "a.png,0,train,ab x,suggestion,c x", **given)
    assert labels(plan) == ["cx", "cy"]
    assert labels(planned(tmp_path, "b.png,1,train,cy,neither,ab y", **given))[1] == "ab y"


def test_rows_of_one_path(tmp_path: Path) -> None:
    rows = ("a.png,ab", "a.png,cd", "b.png,ab")
    plan = planned(tmp_path, "a.png,1,train,cd,suggestion,dd", ",2,train,ab,neither,ba", rows=rows)
    assert labels(plan) == ["ab", "dd", "ba"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("x.png,0,train,ab,suggestion,ac", "line 2: no row has the path 'x.png'"),
        (
            "a.png,0,train,xx,suggestion,ac",
            "line 2: row 0 is labelled 'ab', and was 'xx' when it was judged",
        ),
        (",4,train,ab,suggestion,ac", "line 2: row 4 is beyond the manifest's last"),
    ],
)
def test_corrections_of_another_manifest(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        planned(tmp_path, line, "y.png,0,train,ab,suggestion,ac")
    file = tmp_path / "corrections.csv"
    assert str(caught.value) == (
        f"--corrections {file}: {problem}. 1 more lines do not fit. Take such lines out, or "
        "convert the manifest that was audited."
    )


def test_two_texts_for_one_row(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 3: row 0 has another text in a line before"):
        planned(tmp_path, "a.png,0,,ab,suggestion,ac", "a.png,0,,ab,neither,bb")


def test_a_path_that_is_not_enough(tmp_path: Path) -> None:
    rows = ("a.png,ab", "a.png,cd")
    with pytest.raises(UsageError, match=r"2 rows have the path 'a\.png'; a column `row` must"):
        planned(tmp_path, "a.png,dd", header="path,text", rows=rows)


def test_texts_of_another_length_than_the_columns(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'abc' are 3 labels, expected 2"):
        planned(
            tmp_path, "a.png,0,,ab,neither,abc", rows=("a.png,a,b", "b.png,b,a"),
            columns="path,y0,y1",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("path,label\na,b\n", ": needs the columns path (or row) and text; it has path, label."),
        ("", ": needs the columns path (or row) and text; it has none."),
        ("path,text\na\n", ": line 2 has not as many values as the header."),
        ("path,text\na,b,c\n", ": line 2 has not as many values as the header."),
        ("row,text\nx,b\n", ": line 2: 'x' is no row."),
        ("row,text\n²,b\n", ": line 2: '²' is no row."),
        ("path,text\n,b\n", ": line 2 names neither path nor row."),
        (
            "path,text,decision\na,b,maybe\n",
            ": line 2: the decision 'maybe' is none of label, suggestion, neither.",
        ),
        ('path,text\n"a,b\n', ": line 2: unexpected end of data."),
        (b"path,text\n\xff,b\n", ": cannot be read: it is not UTF-8 text."),
        (None, ": no such file. Check the path."),
    ],
)  # fmt: skip
def test_what_is_no_file_of_corrections(
    tmp_path: Path, content: str | bytes | None, problem: str
) -> None:
    path = tmp_path / "c.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as caught:
        read_corrections(str(path))
    assert str(caught.value) == f"--corrections {path}{problem}"


def test_indices_and_lists_are_corrected_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="correct the manifest itself"):
        options_of("m", labels_are_indices=True, vocabulary=("v",), corrections=("c.csv",))
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"path": "a.png", "text": ["a", "b"]}\n' * 2, encoding="utf-8")
    config = options_of(manifest)
    corrections = read_corrections(str(written(tmp_path, "a.png,0,,ab,neither,ba")))
    with pytest.raises(UsageError, match="are lists, which a text does not tell apart"):
        make_plan(open_manifest(config), config, {}, [corrections])


@pytest.mark.parametrize("text", ["=1+1", "-5", "'x", "'=x", "''-y", "@", "plain", "－a"])
def test_cells_that_no_spreadsheet_runs_are_read_back(text: str) -> None:
    assert from_csv_cell(csv_cell(text)) == text


def test_a_dataset_with_corrections(tmp_path: Path) -> None:
    """It is found again, verified with the manifest that it came from, and never mistaken."""
    manifest = draw_sources(tmp_path, 30)
    corrections = written(
        tmp_path, "i/3.png,3,train,03,suggestion,13", "i/5.png,5,train,05,neither,"
    )
    out = tmp_path / "out"
    options = {"corrections": (str(corrections),), "split": (("train", 1.0),)}
    said: list[str] = []
    result = convert_dataset(options_of(manifest, out, **options), said.append)
    assert "corrections: 1 labels corrected, 0 found right, 1 rows left out" in said
    assert (result.records, result.quarantined) == (29, 1)  # of a limit of 1 %: it was decided
    (left_out,) = (out / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(left_out) == {
        "row": 5, "path": "i/5.png", "reason": "label_rejected",
        "detail": "its label was found wrong, and no right one is known",
    }  # fmt: skip
    assert convert_dataset(options_of(manifest, out, **options)).already_complete
    assert verify_dataset(VerifyConfig(dataset=str(out), manifest=str(manifest))).problems == []
    with pytest.raises(UsageError, match="holds a dataset of another plan"):
        convert(manifest, out, split=(("train", 1.0),))


def test_a_dataset_is_verified_by_the_corrections_that_it_names(tmp_path: Path) -> None:
    manifest, out = draw_sources(tmp_path, 30), tmp_path / "out"
    corrections = written(tmp_path, "i/3.png,3,train,03,suggestion,13")
    convert(manifest, out, corrections=(str(corrections),), split=(("train", 1.0),))
    info = read_dataset(str(out))
    text = (out / "dataset.json").read_text(encoding="utf-8")
    (out / "dataset.json").write_text(text.replace('"13"', '"23"'), encoding="utf-8")
    (out / "_SUCCESS").unlink(missing_ok=True)
    found = verify_dataset(VerifyConfig(dataset=str(out), manifest=str(manifest)))
    assert any("label" in problem.message for problem in found.problems)
    assert info.options["corrections"] == [["i/3.png", 3, "03", "13"]]


@pytest.mark.parametrize(
    "entries",
    [[["a"]], [[1, 2, "a", "b"]], [["", None, "a", "b"]], [["a", -1, "b", None]], [[]], 3],
)
def test_corrections_that_nobody_wrote(entries: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        rounds_from_json(entries, "dataset.json")  # type: ignore[arg-type]


def test_rows_that_are_bad_besides_are_counted(tmp_path: Path) -> None:
    manifest = draw_sources(tmp_path, 30)
    (tmp_path / "i/7.png").unlink()
    corrections = written(tmp_path, "i/5.png,5,train,05,neither,")
    with pytest.raises(TooManyBadRowsError) as caught:
        convert(manifest, tmp_path / "out", corrections=(str(corrections),), max_bad_fraction=0.01)
    assert str(caught.value).startswith("1 of 30 rows are bad")
    with (tmp_path / "m.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 31
