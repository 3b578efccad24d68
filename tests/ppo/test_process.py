"""What a process finds out about its machine."""

from ppo import process
from ppo.process import available_memory


def test_available_memory_is_a_number_of_bytes_where_linux_says_it(monkeypatch, tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal:       2000 kB\nMemAvailable:   1000 kB\nBuffers: 1 kB\n")
    monkeypatch.setattr(process, "Path", lambda path: tmp_path / path.rpartition("/")[2])
    assert available_memory() == 1_024_000
    (tmp_path / "meminfo").unlink()
    assert available_memory() is None
