"""The public surface: what `import kinolog` gives, what it costs, and that it is documented."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import kinolog


def test_all_is_sorted_and_there() -> None:
    assert kinolog.__all__ == sorted(kinolog.__all__)
    assert dir(kinolog) == kinolog.__all__
    for name in kinolog.__all__:
        assert getattr(kinolog, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = kinolog.nothing


def test_everything_public_is_documented_and_typed() -> None:
    for name in kinolog.__all__:
        found = getattr(kinolog, name)
        if inspect.isclass(found) or inspect.isfunction(found):
            assert found.__doc__, name
        if inspect.isfunction(found):
            assert "return" in inspect.get_annotations(found), name
        if inspect.isclass(found):
            for method, value in vars(found).items():
                if inspect.isfunction(value) and not method.startswith("_"):
                    assert value.__doc__, f"{name}.{method}"


def test_importing_it_loads_nothing_heavy() -> None:
    script = (
        "import sys, kinolog; print(sorted({'av','numpy','confluent_kafka'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_connection_has_the_functions_of_the_module() -> None:
    for name in ("chunks", "frames", "mark", "marks", "publish", "streams", "astreams"):
        module, method = (
            inspect.signature(getattr(owner, name)).parameters
            for owner in (kinolog, kinolog.Connection)
        )
        expected = [p.replace() for key, p in module.items() if key != "connection"]
        assert [str(p) for key, p in method.items() if key != "self"] == [str(p) for p in expected]
