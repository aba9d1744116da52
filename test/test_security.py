"""No file that a user names is run: nothing unpickles, evaluates text or goes through a shell."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(p for folder in ('hiu_ros', 'launch', 'environment', 'scripts')
               for p in (ROOT / folder).rglob('*')
               if p.suffix == '.py' or folder == 'scripts' and p.is_file())
#: Calls that run what they are given, by the end of their dotted name.
FORBIDDEN = {
    'eval', 'exec', 'os.system', 'os.popen', 'subprocess.getoutput', 'subprocess.getstatusoutput',
    'pickle.load', 'pickle.loads', 'torch.load', 'yaml.load', 'yaml.unsafe_load', 'joblib.load',
    'runpy.run_path',
}
#: Keyword arguments that make a call run what it is given.
SWITCHES = {'shell', 'allow_pickle'}
#: The modules with an unpickler of their own, which knows arrays alone; each has its tests.
UNPICKLERS = {'hiu_ros/hand/mano_file.py', 'hiu_ros/data/sets/array_pickle.py'}


def dotted(node: ast.AST) -> str:
    """`a.b.c` of such an expression; `.c` or '' of another."""
    if isinstance(node, ast.Attribute):
        return f'{dotted(node.value)}.{node.attr}'
    return node.id if isinstance(node, ast.Name) else ''


def dangers(source: str) -> list[str]:
    """The calls of a module's source that run what they are given."""
    found = []
    for call in (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)):
        if dotted(call.func) in FORBIDDEN:
            found.append(dotted(call.func))
        found += [word.arg for word in call.keywords if word.arg in SWITCHES
                  and not (isinstance(word.value, ast.Constant) and word.value.value is False)]
    return found


@pytest.mark.parametrize('source, found', [
    ('os.system(f"cp {path} .")', ['os.system']),
    ('subprocess.run(command, shell=True)', ['shell']),
    ('subprocess.run(command, shell=quick)', ['shell']),
    ('np.load(path, allow_pickle=True)', ['allow_pickle']),
    ('torch.load(path)', ['torch.load']),
    ('eval(text)', ['eval']),
    ('build(x).eval(); np.load(path, allow_pickle=False); subprocess.run([a, b])', []),
])
def test_the_search_finds_what_it_is_for(source, found):
    assert dangers(source) == found


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_is_read_is_run(path):
    source = path.read_text(encoding='utf-8')
    assert dangers(source) == []
    assert 'import pickle' not in source or str(path.relative_to(ROOT)) in UNPICKLERS
