from tests.integration.prune.test_what_the_last_look_keeps import *
from tests.integration.prune.test_what_the_last_look_keeps import site
for _n in [n for n in list(globals()) if n.startswith("test_")]:
    del globals()[_n]
from cacheadmin.evidence.collection import scan_candidates
from cacheadmin.evidence.environments import ScanOptions
def test_w(site):
    inner = site.cache / "archive-v0" / "late_late_late_0"
    packages = "lib/python3.11/site-packages"
    outer = link_environment(site.cache.with_name("outer"), site.cache / FLAT)
    (outer / packages / "_inner.pth").write_text(f"import site; site.addsitedir('{inner}/{packages}')")
    with look_with(load_policy(os.fspath(site.policy))) as snapshot:
        link_environment(inner, site.cache / OTHER)
        for p in (inner, outer):
            for c, s in scan_candidates((Candidate(os.fspath(p), EnvironmentKind.VENV, ("include",)),), snapshot.collected.look, ScanOptions()):
                print("SCAN", s)
