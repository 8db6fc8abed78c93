"""`sources.parquet` names the image of each manifest row, and is no part of the dataset's bytes."""

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from convert_cases import convert, draw_sources, png, write_manifest
from verify_cases import flip, problems

from convert.dataset.info import SOURCE, SOURCE_PATHS
from convert.dataset.path_table import FileDigest, PathTable, write_source_paths
from convert.dataset.read import open_dataset
from convert.dataset.source_paths import SourcePaths, read_source_paths
from convert.errors import FormatError
from convert.storage.local import LocalFileSystem
from convert.write.staging import Staging

REMOVE = "Remove it: the dataset is whole without, but then only rows are named, no files."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset `out` of 20 rows, of which row 7 is left out."""
    folder = tmp_path_factory.mktemp("paths")
    manifest = draw_sources(folder, 20)
    (folder / "i/7.png").unlink()
    convert(manifest, folder / "out", max_bad_fraction=0.1)
    return folder


@pytest.fixture
def dataset(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder / "out", tmp_path / "out")
    return tmp_path / "out"


def test_every_row_of_the_manifest_has_its_path(dataset: Path) -> None:
    paths = read_source_paths(str(dataset))
    assert paths is not None
    assert paths.of([12, 7, 0, 12]) == ["i/12.png", "i/7.png", "i/0.png", "i/12.png"]
    assert paths.of([-1, 20, 1 << 40, 3]) == ["", "", "", "i/3.png"]
    assert paths.of([]) == []
    everything = pa.concat_arrays(list(paths.parts())).to_pylist()
    assert everything == [f"i/{row}.png" for row in range(20)]


def test_other_programs_read_it_as_a_table_in_the_order_of_the_rows(dataset: Path) -> None:
    table = pq.read_table(dataset / SOURCE_PATHS)
    assert table.schema.names == ["row", "path"]
    assert table.column("row").to_pylist() == list(range(20))
    assert table.column("path")[7].as_py() == "i/7.png"


def test_a_path_is_kept_as_the_manifest_spells_it(tmp_path: Path) -> None:
    names = ["a\u202eb.png", "字 \x1b[31m.png", "c%\\.png"]
    for name in names:
        (tmp_path / name).write_bytes(png())
    rows = [[name, "x"] for name in names]
    convert(write_manifest(tmp_path / "m.csv", ["path", "y0"], rows), tmp_path / "out",
            split=(("train", 1.0),))  # fmt: skip
    paths = read_source_paths(str(tmp_path / "out"))
    assert paths is not None
    assert paths.of(range(3)) == names


def written(folder: Path, num_rows: int) -> tuple[SourcePaths, list[int]]:
    """Writes paths beside a dataset's shards; returns them and the sizes of what was written."""
    dataset, sizes = open_dataset(str(folder)), []
    with (folder / SOURCE_PATHS).open("wb") as file:

        class Sizes:
            def write(self, content: bytes) -> None:
                sizes.append(len(content))
                file.write(content)

        texts = pa.array((f"{row:x}" * 9 for row in range(num_rows)), pa.large_string())
        write_source_paths(Sizes(), texts, dataset.info.plan_id)
    return SourcePaths(dataset), sizes


def test_many_paths_are_written_and_read_by_parts(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_rows = 100_000
    paths, sizes = written(dataset, num_rows)
    assert max(sizes) < sum(sizes) / 5
    read = []
    group_of = PathTable.group
    monkeypatch.setattr(PathTable, "group", lambda file, g: read.append(g) or group_of(file, g))
    rows = [99_999, 16_384, 0, 16_383, 99_000]
    assert paths.of(rows) == [f"{row:x}" * 9 for row in rows]
    assert read == [0, 1, 6]


def test_the_same_options_give_the_same_dataset_with_and_without(
    folder: Path, dataset: Path
) -> None:
    """As those of older versions do not have it."""
    (dataset / SOURCE_PATHS).unlink()
    (dataset / SOURCE).unlink()
    assert read_source_paths(str(dataset)) is None
    assert problems(dataset) == []
    assert convert(folder / "m.csv", dataset).already_complete
    (folder / "i/7.png").write_bytes(png(seed=7))
    convert(folder / "m.csv", dataset, retry_quarantined=True)
    (folder / "i/7.png").unlink()
    paths = read_source_paths(str(dataset))
    assert paths is not None
    assert paths.of([7]) == ["i/7.png"]
    assert problems(dataset) == []


def replace_by(other: bytes):
    return lambda path: path.write_bytes(other)


def of_another_plan(path: Path) -> None:
    texts = pa.array(["a"], pa.large_string())
    with path.open("wb") as file:
        write_source_paths(file, texts, "0" * 64)


def of_the_plan(*fields: pa.Field):
    """Returns a function that writes one row, of number 1, under the dataset's plan id."""

    def write(path: Path) -> None:
        plan_id = open_dataset(str(path.parent)).info.plan_id
        schema = pa.schema(fields, {"shardfeed.plan_id": plan_id})
        values = {"row": [1], "path": ["a"]}
        pq.write_table(pa.table(values, schema), path)

    return write


ROW = pa.field("row", pa.int64(), nullable=False)
PATH = pa.field("path", pa.string(), nullable=False)


def as_a_link(path: Path) -> None:
    path.rename(path.parent.parent / "kept")
    path.symlink_to(path.parent.parent / "kept")


@pytest.mark.parametrize(
    ("damage", "problem", "verdict"),
    [
        (lambda path: flip(path, 40), "is damaged", "its size or digest is not that in"),
        (replace_by(b""), "is damaged", "its size or digest is not that in"),
        (replace_by(b"PAR1" * 50), "is damaged", "its size or digest is not that in"),
        (of_another_plan, "is not of this dataset", "its size or digest is not that in"),
        (of_the_plan(ROW, PATH), "is damaged", "its size or digest is not that in"),
        (
            of_the_plan(ROW, PATH.with_nullable(True)),
            "is not as convert wrote it",
            "its size or digest is not that in",
        ),
        (as_a_link, "cannot be read: a link, expected a file", "a link, expected a file"),
    ],
)
def test_damage_is_told(dataset: Path, damage, problem: str, verdict: str) -> None:
    path = dataset / SOURCE_PATHS
    damage(path)
    paths = read_source_paths(str(dataset))
    assert paths is not None
    with pytest.raises(FormatError) as error:
        paths.of([0])
    assert str(error.value) == f"{path}: {problem}. {REMOVE}"
    (line,) = problems(dataset)
    assert line.startswith(f"{SOURCE_PATHS}: {verdict}")


def test_the_paths_of_another_converter_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On HDFS, where several may be at work; theirs may come from another version of pyarrow."""
    monkeypatch.setattr(LocalFileSystem, "is_local", False)
    staging = Staging(str(tmp_path / "out"), "0" * 64)
    staging.prepare()
    theirs, ours = (Path(staging.dataset, SOURCE_PATHS), tmp_path / "part")
    theirs.write_bytes(b"theirs")
    ours.write_bytes(b"ours")
    found = staging._publish_paths(str(ours), FileDigest(4, "ours"))
    assert found == FileDigest(6, hashlib.sha256(b"theirs").hexdigest())
    assert theirs.read_bytes() == b"theirs"
    assert not ours.exists()


def test_verify_misses_a_file_that_has_a_digest(dataset: Path) -> None:
    (dataset / SOURCE_PATHS).unlink()
    assert problems(dataset) == [
        "sources.parquet: missing file, which _source.json has a digest of"
    ]


def test_a_digest_of_another_kind_is_none(dataset: Path) -> None:
    note = json.loads((dataset / SOURCE).read_text())
    note["paths"]["bytes"] = "many"
    (dataset / SOURCE).write_text(json.dumps(note))
    assert problems(dataset) == ["_source.json: not as convert wrote it"]
