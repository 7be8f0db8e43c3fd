"""Of trials: what ended one too early, or forgot a use, without a test that noticed."""

from __future__ import annotations

_ABSENCES = "tests/unit/trial/test_absences.py"
_TIME = "tests/unit/trial/test_time_that_counts.py"
_SAFE_SIDE = "tests/integration/trial/test_trials_err_to_the_safe_side.py"
_WAYS_BACK = "tests/integration/trial/test_ways_back.py"
_ENDS = "tests/integration/trial/test_uses_before_a_trial_ends.py"
_WITH_ITS_LINKS = "tests/integration/trial/test_what_comes_back_brings_what_it_links.py"
_FILESYSTEMS = "tests/integration/trial/test_tripwires_on_filesystems.py"

#: (module, what stands there, what does instead, the test that must notice).
CHANGES: tuple[tuple[str, str, str, str], ...] = (
    (
        "cacheadmin/trial/absences.py",
        "since_ns = first_ns if since_ns is None else min(since_ns, first_ns)",
        "since_ns = since_ns or first_ns",
        _ABSENCES,
    ),
    (
        "cacheadmin/trial/absences.py",
        "key=lambda one: (not one.returns, one.place)",
        "key=lambda one: one.place",
        _ABSENCES,
    ),
    (
        "cacheadmin/trial/absences.py",
        "told.get(gap.host, 0) if host",
        "told.get(gap.host, now_ns) if host",
        _ABSENCES,
    ),
    ("cacheadmin/trial/verdicts.py", "return max(same, key", "return min(same, key", _TIME),
    (
        "cacheadmin/trial/verdicts.py",
        "if own is None or own.host.boot != here.boot:",
        "if own is None:",
        _TIME,
    ),
    (
        "cacheadmin/trial/verdicts.py",
        "if abs(clock_ns - steady_ns) > TOLERANCE_NS",
        "if steady_ns - clock_ns > TOLERANCE_NS",
        _TIME,
    ),
    (
        "cacheadmin/trial/verdicts.py",
        "looked_ns = min((one.since_ns for one in ledger.trials.values()), default=now_ns)",
        "looked_ns = now_ns",
        _TIME,
    ),
    (
        "cacheadmin/trial/verdicts.py",
        "ran_ns = max(0, here.running_ns - own.host.running_ns)",
        "ran_ns = max(0, here.uptime_ns - own.host.uptime_ns)",
        _TIME,
    ),
    (
        "cacheadmin/trial/verdicts.py",
        "until_ns=later_ns, discounted_ns=more_ns",
        "until_ns=later_ns",
        _TIME,
    ),
    (
        "cacheadmin/trial/verdicts.py",
        "else trial_ns\n        found",
        "else 0\n        found",
        _TIME,
    ),
    (
        "cacheadmin/trial/verdicts.py",
        "        if not lacks(chosen):\n            break\n",
        "",
        _TIME,
    ),
    (
        "cacheadmin/trial/verdicts.py",
        "now_ns - trial.since_ns - trial.discounted_ns >= at_least_ns",
        "True",
        _TIME,
    ),
    (
        "cacheadmin/trial/verdicts.py",
        "now_ns - trial.since_ns - trial.discounted_ns >= at_least_ns",
        "now_ns - trial.since_ns >= at_least_ns",
        _TIME,
    ),
    (
        "cacheadmin/trial/verdicts.py",
        (
            "    for trial in sorted(silent, key=lambda one: (one.since_ns, one.entry)):\n"
            "        if not lacks"
        ),
        "    for trial in silent:\n        if not lacks",
        _TIME,
    ),
    (
        "cacheadmin/trial/verdicts.py",
        "        elif one.entry in decoys:\n            continue\n",
        "",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/trials.py",
        "            if problem:\n                failed",
        "            if False:\n                failed",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/trials.py",
        "                        discounted_ns=rules.unseen_ns,\n",
        "",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/trials.py",
        "until_ns = moment_ns + rules.lasts_ns + rules.unseen_ns\n        decoys",
        "until_ns = moment_ns + rules.lasts_ns\n        decoys",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/trials.py",
        (
            "        except OSError:\n"
            "            return False\n"
            "        try:\n"
            "            return not os.listdir(fd)"
        ),
        (
            "        except OSError:\n"
            "            return True\n"
            "        try:\n"
            "            return not os.listdir(fd)"
        ),
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/trials.py",
        "            self.tripwires.put_back(entry)\n        else:\n            done.deleted",
        "        else:\n            done.deleted",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/folder.py",
        "if status.st_dev != bucket.st_dev or mount_id(fd) != mount_id(bucket_fd):",
        "if status.st_dev != bucket.st_dev:",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/folder.py",
        "    if status.st_uid not in trusted:\n",
        "    if False:\n",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/folder.py",
        "    if stat.S_IMODE(status.st_mode) & _OTHERS_WRITE:",
        "    if False:",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/folder.py",
        "    if not stat.S_ISREG(marker.st_mode) or marker.st_uid not in trusted:",
        "    if False:",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/folder.py",
        "    if not stat.S_ISREG(marker.st_mode) or marker.st_uid not in trusted:",
        "    if not stat.S_ISREG(marker.st_mode):",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/folder.py",
        '            raise _not_ours("it has no marker of ours") from None\n',
        "            return\n",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/kin.py",
        "if abs(moment_ns - status.st_mtime_ns) <= _SAME_MINUTES_NS:",
        "if moment_ns - status.st_mtime_ns <= _SAME_MINUTES_NS:",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/kin.py",
        "for moment_ns, other in moments[status.st_uid]:",
        "for moment_ns, other in [x for y in moments.values() for x in y]:",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/kin.py",
        "    for where in (ARCHIVES, PLACE):\n",
        "    for where in (PLACE,):\n",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/ledger.py",
        "replace(spring, at_ns=max(spring.at_ns, at_ns))",
        "replace(spring, at_ns=at_ns)",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/ledger.py",
        '                springs.append(Spring(entry, "", at_ns, "sprung"))\n',
        "                pass\n",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/ledger.py",
        '        "discounted_ns": trial.discounted_ns,\n',
        '        "discounted_ns": 0,\n',
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/tripwires.py",
        "        if not self.holds(entry):\n            raise OSError(errno.EBUSY",
        "        if False:\n            raise OSError(errno.EBUSY",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/tripwires.py",
        "            if status is not None and self._is_ours(decoy, status):\n",
        "            if status is not None:\n",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/tripwires.py",
        "        if os.readlink(_name(entry), dir_fd=bucket_fd) == self._text(entry):\n",
        "        if True:\n",
        _SAFE_SIDE,
    ),
    (
        "cacheadmin/trial/trials.py",
        "            uses[entry] = min(last.get(entry, moment_ns) + passed_ns, moment_ns)\n",
        "            pass\n",
        _WAYS_BACK,
    ),
    (
        "cacheadmin/trial/trials.py",
        "min(last.get(entry, moment_ns) + passed_ns, moment_ns)",
        "min(last.get(entry, moment_ns), moment_ns)",
        _WAYS_BACK,
    ),
    ("cacheadmin/trial/tripwires.py", " != PAST_NS or not self.sees", " != PAST_NS", _FILESYSTEMS),
    (
        "cacheadmin/trial/ways_back.py",
        "    except OSError:\n        return True\n    return stat",
        "    except OSError:\n        return False\n    return stat",
        _WAYS_BACK,
    ),
    (
        "cacheadmin/prune/trial_upkeep.py",
        "    unread = case.unread_pins\n",
        "    unread = ()\n",
        f"{_ENDS}::test_no_trial_ends_while_a_pin_can_not_be_read",
    ),
    (
        "cacheadmin/prune/trial_upkeep.py",
        "    told = bring_back_used(case, plan, trials, result)\n",
        "    told = []\n",
        f"{_ENDS}::test_what_is_pinned_while_a_prune_waits_is_not_ended_by_it",
    ),
    (
        "cacheadmin/prune/trial_upkeep.py",
        " if one.entry in trials.ledger.trials]",
        "]",
        f"{_ENDS}::test_what_is_pinned_while_a_prune_waits_is_not_ended_by_it",
    ),
    (
        "cacheadmin/prune/trial_upkeep.py",
        "if entry not in begun and entry not in kin]",
        "if entry not in begun]",
        _WITH_ITS_LINKS,
    ),
    (
        "cacheadmin/prune/known_by_now.py",
        "        pins=(*evidence.pins, *chain.from_iterable(one.pins for one in told)),\n",
        "",
        f"{_ENDS}::test_what_is_pinned_while_a_prune_waits_is_not_ended_by_it",
    ),
    (
        "cacheadmin/prune/trial_upkeep.py",
        "[trial.entry for trial in trials.current() if trial.run_id in runs]",
        "[trial.entry for trial in trials.current()]",
        f"{_ENDS}::test_a_purge_of_one_run_ends_no_trial_of_another",
    ),
    (
        "cacheadmin/prune/trial_upkeep.py",
        "[entry for entry in wanted if entry not in used]",
        "list(wanted)",
        f"{_ENDS}::test_what_is_pinned_is_not_ended_by_a_purge_either",
    ),
)
