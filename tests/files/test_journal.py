"""A journal keeps whole records alone, and those of its own work alone."""

import numpy as np
import pytest

from lesiongan.files.errors import InputError
from lesiongan.files.journal import Journal

KEY, OTHER = "a" * 64, "b" * 64
RECORDS = np.arange(5 * 7, dtype=np.uint8).reshape(5, 7)


def read(journal):
    blocks = [records for _, records in journal.blocks()]
    return np.concatenate(blocks) if blocks else np.zeros((0, journal.length), np.uint8)


@pytest.fixture
def path(tmp_path):
    journal = Journal(tmp_path / "j", KEY, 7)
    journal.append(RECORDS[:3])
    journal.append(RECORDS[3:])
    return journal.path


def test_records_are_found_again_and_appended_to(path):
    journal = Journal(path, KEY, 7)
    assert (journal.count, journal.was_other) == (5, False)
    np.testing.assert_array_equal(read(journal), RECORDS)
    journal.append(RECORDS[:2] + 100)
    np.testing.assert_array_equal(
        read(Journal(path, KEY, 7)), np.concatenate([RECORDS, RECORDS[:2] + 100])
    )


def test_what_a_kill_cut_off_or_a_disk_lost_is_written_again(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])
    journal = Journal(path, KEY, 7)
    assert journal.count == 4
    journal.append(RECORDS[4:])
    assert path.read_bytes() == whole
    # A block of zeros stands where the disk had not yet written the third record.
    damaged = bytearray(whole)
    start = journal.find(2)
    damaged[start : start + 11] = bytes(11)
    path.write_bytes(damaged)
    assert Journal(path, KEY, 7).count == 2
    # A head that was cut off is none.
    path.write_bytes(whole[:20])
    journal = Journal(path, KEY, 7)
    assert (journal.count, journal.was_other) == (0, True)


def test_a_journal_of_other_work_is_begun_anew(path):
    journal = Journal(path, OTHER, 7)
    assert (journal.count, journal.was_other) == (0, True)
    assert len(read(journal)) == 0
    assert Journal(path, KEY, 7).was_other


def test_blocks_name_the_position_of_their_first_record(tmp_path, monkeypatch):
    monkeypatch.setattr("lesiongan.files.journal.BLOCK", 2)
    journal = Journal(tmp_path / "j", KEY, 7)
    journal.append(RECORDS)
    starts = [start for start, _ in journal.blocks()]
    assert starts == [0, 2, 4]
    np.testing.assert_array_equal(read(journal), RECORDS)


def test_a_link_is_not_written_through(path, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    path.unlink()
    path.symlink_to(mine)
    Journal(path, KEY, 7).append(RECORDS)
    assert mine.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(InputError, match=r"j: cannot be written"):
        Journal(tmp_path / "no" / "j", KEY, 7)
    journal = Journal(tmp_path / "j", KEY, 7)
    journal.path = tmp_path / "no" / "j"
    with pytest.raises(InputError, match=r"j: cannot be written"):
        journal.append(RECORDS)
