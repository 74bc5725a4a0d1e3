"""Corpora: names, text, and what is said about files that are none."""

import gzip
import hashlib

import pytest

from optim_hunter.claim import UserError
from optim_hunter.tasks import corpus as corpus_module
from optim_hunter.tasks.corpus import HUB_NAME, SEPARATOR, read_corpus

TEXT = f"Tom saw a café.\n{SEPARATOR}\n\n{SEPARATOR}\nLily ran home.\n"


def test_text_and_gzip_give_the_same_stories(tmp_path):
    plain, packed = tmp_path / "mine.txt", tmp_path / "mine.txt.gz"
    plain.write_text(TEXT, encoding="utf-8")
    packed.write_bytes(gzip.compress(TEXT.encode()))
    first, second = read_corpus(plain), read_corpus(str(packed))
    assert first.stories == second.stories == ("Tom saw a café.", "Lily ran home.")
    assert first.sha256 == second.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    assert (first.name, second.name) == ("mine.txt", "mine.txt.gz")


WHOLE = gzip.compress(TEXT.encode() * 50)
BROKEN = {
    "latin.txt": ("Tom saw a café.".encode("latin-1"), "not UTF-8 at byte 13"),
    "latin.gz": (gzip.compress("café".encode("latin-1")), "not UTF-8 at byte 3"),
    "empty.txt": (b"", "there is no story in it"),
    "separators.txt": (f"{SEPARATOR}\n{SEPARATOR}".encode(), "there is no story in it"),
    "half.gz": (WHOLE[: len(WHOLE) // 2], "no whole gzip file"),
    "renamed.gz": (b"Tom saw a ball.", "no whole gzip file"),
    "flipped.gz": (WHOLE[:12] + b"\xff\xff\xff" + WHOLE[15:], "no whole gzip file"),
    "nothing.gz": (b"", "there is no story in it"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_corpus_is_named_in_one_line(name, tmp_path):
    content, cause = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=cause) as error:
        read_corpus(tmp_path / name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_says_what_may_be_given(tmp_path):
    with pytest.raises(UserError, match=rf"there is no such file; give a .txt or .gz file .* or {HUB_NAME}"):
        read_corpus(tmp_path / "missing.txt")


def test_a_folder_is_no_corpus(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_corpus(tmp_path)


def test_an_unreachable_hub_names_the_remedy(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    with pytest.raises(UserError, match=r"cannot be reached \(no route to host\); connect, or give the path") as error:
        read_corpus(HUB_NAME)
    assert "\n" not in str(error.value)


def test_the_hub_is_asked_for_one_pinned_revision(monkeypatch, tmp_path):
    asked = {}
    (tmp_path / "stories.txt").write_text(TEXT, encoding="utf-8")

    def download(*place, **options):
        asked.update(options, place=place)
        return str(tmp_path / "stories.txt")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    corpus = read_corpus(HUB_NAME)
    assert asked == {
        "place": (HUB_NAME, corpus_module.HUB_FILE),
        "repo_type": "dataset",
        "revision": corpus_module.HUB_REVISION,
    }
    assert corpus.name.startswith(HUB_NAME)
    assert corpus_module.HUB_REVISION[:12] in corpus.name


def test_the_packaged_corpus_is_what_its_record_says():
    import json
    from importlib import resources

    record = json.loads(resources.files("optim_hunter.data").joinpath("stories.json").read_text(encoding="utf-8"))
    corpus = read_corpus(None)
    assert corpus.sha256 == record["text_sha256"]
    assert len(corpus.stories) == record["stories"]
    assert "long stories are missing" in corpus.note
    assert corpus.name == "packaged stories.txt.gz"
