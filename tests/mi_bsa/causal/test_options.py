"""Options name what exists."""

import pytest

from mi_bsa.causal.options import ProbeConfig
from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError
from probes.methods import names


def test_a_probe_is_any_method_of_the_table_that_reads_classes():
    """Every such name is taken and shown in the schema; another is refused with the nearest one."""
    for name in names():
        assert parse({"method": name}, ProbeConfig).method == name
    assert ProbeConfig.model_json_schema()["properties"]["method"]["enum"] == list(names())
    with pytest.raises(ConfigError, match="method: no method 'logistics' .*nearest: logistic"):
        parse({"method": "logistics"}, ProbeConfig)
    with pytest.raises(ConfigError, match=r"it reads numbers"):
        parse({"method": "ridge"}, ProbeConfig)
