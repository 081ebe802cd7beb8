"""Planning needs no torch; the public names are sorted, all there, and loaded when first used."""

import importlib.util
import subprocess
import sys

import pytest

import lmn


@pytest.mark.parametrize(
    "module", ["lmn", "lmn.config", "lmn.tree", "lmn.cost", "lmn.language_model_cost"]
)
def test_planning_modules_do_not_load_torch_or_numpy(module):
    script = (
        f"import sys, {module}; loaded = {{'torch', 'numpy'}} & set(sys.modules);"
        "sys.exit(f'loaded {loaded}' if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_names_are_sorted_and_exist():
    assert lmn.__all__ == sorted(lmn.__all__)
    assert set(lmn.__all__) <= set(dir(lmn))
    for name in lmn.__all__:
        assert getattr(lmn, name).__name__ == name


def test_without_transformers_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    spec = importlib.util.find_spec("lmn.transformers_model")
    module = importlib.util.module_from_spec(spec)
    with pytest.raises(ImportError, match=r"pip install 'transformers>=5'"):
        spec.loader.exec_module(module)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'LMNBlok'"):
        lmn.LMNBlok  # noqa: B018
