"""Made-up trees of cgroups, as /proc and /sys/fs/cgroup show them."""

from __future__ import annotations

from pathlib import Path

NO_LIMIT_V1 = 9223372036854771712


def fake_proc(root: Path, groups: str, *mounts: str) -> Path:
    """A /proc/self with these groups and mounts; {root} stands for the tree's folder."""
    proc = root / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(groups)
    lines = [mount.replace("{root}", str(root)) for mount in mounts]
    (proc / "mountinfo").write_text("\n".join(lines))
    return proc


def fill(folder: Path, **files: object) -> Path:
    """A group with these files; __ in a name stands for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n" if content != "" else "")
    return folder


V2_MOUNT = "31 23 0:28 / {root}/sys rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "35 31 0:32 / {root}/sys/memory rw,relatime - cgroup cgroup rw,memory"


def v2_session(root: Path, **files: object) -> Path:
    """A delegated scope of version 2 with the memory controller; its folder."""
    fill(root / "sys", cgroup__controllers="cpu memory")
    standard = {
        "cgroup__type": "domain", "cgroup__controllers": "memory pids", "cgroup__procs": "",
        "cgroup__subtree_control": "",
    }  # fmt: skip
    return fill(root / "sys" / "user" / "run.scope", **{**standard, **files})
