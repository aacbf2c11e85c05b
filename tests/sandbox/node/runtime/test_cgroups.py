from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.node.runtime.cgroups import Cgroup, Cgroups, Parent, Resources, parents

MIB = 2**20
V1 = "5:memory:/user/1\n4:cpu,cpuacct:/user/2\n1:name=systemd:/user/3\n0::/user/4\n"
V1_MOUNTS = """
24 22 0:20 / {at} ro,nosuid - tmpfs tmpfs ro,mode=755
25 24 0:21 / {at}/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
26 24 0:22 / {at}/memory rw,nosuid shared:10 - cgroup cgroup rw,memory
27 24 0:23 / {at}/unified rw,nosuid shared:11 - cgroup2 cgroup2 rw,nsdelegate
"""
V2 = "0::/user.slice/app.slice/shell.scope\n"
V2_MOUNTS = "\n30 22 0:26 / {at} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
LIMITED = Resources(cpu_quota=5000, cpu_period=100_000, memory=8 * MIB)
BOTH = frozenset({"cpu", "memory"})


def mounts(text: str, at: Path) -> str:
    return text.format(at=at).strip()


def test_a_controller_that_version_1_has_is_taken_there_though_version_2_is_mounted_too() -> None:
    assert parents(V1, mounts(V1_MOUNTS, Path("/sys"))) == [
        Parent(Path("/sys/memory/user/1"), frozenset({"memory"}), 1),
        Parent(Path("/sys/cpu/user/2"), frozenset({"cpu"}), 1),
    ]


def test_version_2_has_one_tree_in_which_the_nearest_comes_first() -> None:
    found = parents(V2, mounts(V2_MOUNTS, Path("/sys")))
    assert [str(parent.directory) for parent in found] == [
        "/sys/user.slice/app.slice/shell.scope",
        "/sys/user.slice/app.slice",
        "/sys/user.slice",
        "/sys",
    ]
    assert {(parent.controllers, parent.version) for parent in found} == {(BOTH, 2)}


def test_a_container_sees_its_own_cgroup_as_the_root() -> None:
    mount = "26 24 0:22 /docker/7 /sys/memory ro - cgroup cgroup rw,memory"
    assert parents("5:memory:/docker/7\n", mount) == [Parent(Path("/sys/memory"), frozenset({"memory"}), 1)]
    assert parents("5:memory:/elsewhere\n", mount) == []


def test_without_cgroups_there_is_no_place_for_one() -> None:
    assert parents("", "22 1 0:20 / / rw - ext4 /dev/sda rw") == []


def test_limits_are_written_as_version_1_wants_them(tmp_path: Path) -> None:
    for place in ("cpu/user/2", "memory/user/1"):
        (tmp_path / place).mkdir(parents=True)
    made = Cgroups(tmp_path, V1, mounts(V1_MOUNTS, tmp_path)).make("web", LIMITED)
    assert (made.limits, written(made)) == (
        BOTH,
        {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "5000", "memory.limit_in_bytes": f"{8 * MIB}"},
    )


def test_limits_are_written_as_version_2_wants_them_where_the_controllers_are_handed_down(tmp_path: Path) -> None:
    shell = tmp_path / "user.slice/app.slice/shell.scope"
    shell.mkdir(parents=True)
    hands_down = {shell: "", shell.parent: "memory pids", shell.parent.parent: "cpu memory pids"}
    for place, controllers in hands_down.items():
        (place / "cgroup.subtree_control").write_text(controllers)
    made = Cgroups(tmp_path, V2, mounts(V2_MOUNTS, tmp_path)).make("web", LIMITED)
    assert [directory.parent for directory in made.parents] == [shell.parent.parent]
    assert (made.limits, written(made)) == (
        BOTH,
        {"cpu.max": "5000 100000", "memory.max": f"{8 * MIB}", "memory.oom.group": "1"},
    )


def test_no_cgroup_is_made_without_a_limit_nor_where_none_may_be_made(tmp_path: Path) -> None:
    (tmp_path / "memory/user/1").mkdir(parents=True)
    node = Cgroups(tmp_path, V1, mounts(V1_MOUNTS, tmp_path))
    assert node.limits == {"memory"}
    assert node.make("web", Resources()) == node.make("web", Resources(cpu_quota=5000)) == Cgroup({}, frozenset())
    assert Cgroups(tmp_path, V2, mounts(V2_MOUNTS, tmp_path)).limits == frozenset()


@pytest.mark.parametrize(
    ("version", "file", "text", "expected"),
    [
        (1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", True),
        (1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", False),
        (2, "memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\n", True),
        (2, "memory.events", "low 0\nhigh 0\nmax 9\noom 0\noom_kill 0\n", False),
        (2, "none", "", False),
    ],
)
def test_a_container_that_the_kernel_ended_for_its_memory_is_told_from_others(
    tmp_path: Path, version: int, file: str, text: str, *, expected: bool
) -> None:
    (tmp_path / file).write_text(text)
    made = Cgroup({tmp_path: Parent(tmp_path.parent, BOTH, version)}, frozenset({"memory"}))
    assert made.ran_out_of_memory() is expected


def test_what_a_killed_node_left_is_removed_by_the_next_of_the_same_directory_only(tmp_path: Path) -> None:
    (tmp_path / "memory/user/1").mkdir(parents=True)
    first, again, other = (
        Cgroups(Path(node), V1, mounts(V1_MOUNTS, tmp_path)) for node in ("/node/1", "/node/1", "/node/2")
    )
    (directory,) = first.make("web", LIMITED).parents
    (directory / "memory.limit_in_bytes").unlink()  # the kernel's files are no obstacle to their directory's removal
    other.tidy()
    assert again.present() == [directory]
    again.tidy()
    assert not directory.exists()


def written(cgroup: Cgroup) -> dict[str, str]:
    return {file.name: file.read_text() for directory in cgroup.parents for file in directory.iterdir()}
