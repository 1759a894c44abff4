"""Sites parse, print and resolve; wrong ones say what to write instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activations.errors import SiteError
from activations.sites import MODULES, PER_LAYER, Site, resolve


@given(st.sampled_from(PER_LAYER), st.integers(0, 99))
def test_a_site_survives_printing_and_parsing(kind: str, layer: int) -> None:
    """parse(str(site)) is the site, and so is parse of its TransformerLens name."""
    site = Site(kind, layer)
    assert Site.parse(str(site)) == site
    assert Site.parse(site.lens_name) == site


@pytest.mark.parametrize("text", ["embed", "final_norm", "lora_a.q_proj.3", "lora_out.down_proj.0"])
def test_sites_without_layer_and_of_adapters_survive_too(text: str) -> None:
    """The other two shapes of a name."""
    assert str(Site.parse(text)) == text


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("resid_post", ["resid_post.0", "resid_post.1", "resid_post.2", "resid_post.3"]),
        ("resid_post.-1", ["resid_post.3"]),
        ("resid_post.1:3", ["resid_post.1", "resid_post.2"]),
        ("resid_post.1-3", ["resid_post.1", "resid_post.2", "resid_post.3"]),
        ("resid_post.50%", ["resid_post.2"]),
        ("resid_post.0.5", ["resid_post.2"]),
        ("resid_post.100%", ["resid_post.3"]),
        ("blocks.1.hook_out", ["resid_post.1"]),
        ("blocks.1.hook_resid_mid, embed", ["embed", "resid_mid.1"]),
        (["mlp_out.0", "head_z.0", Site("resid_pre", 0)], ["resid_pre.0", "head_z.0", "mlp_out.0"]),
        ("lora_out.down_proj.1", ["lora_out.down_proj.1"]),
    ],
)
def test_selections_resolve_in_the_order_of_computation(selection: object, expected: list[str]) -> None:
    """Index, range, fraction, TransformerLens names, lists."""
    assert [str(site) for site in resolve(selection, n_layers=4)] == expected  # type: ignore[arg-type]


def test_an_adapter_site_without_module_means_every_module() -> None:
    """`lora_out` alone; where it is known what is adapted, those modules only."""
    assert len(resolve("lora_out", n_layers=2)) == 2 * len(MODULES)
    adapted = [(0, "q_proj"), (1, "down_proj")]
    assert [str(s) for s in resolve("lora_a", n_layers=2, adapted=adapted)] == [
        "lora_a.q_proj.0",
        "lora_a.down_proj.1",
    ]
    assert [str(s) for s in resolve("lora_a.q_proj", n_layers=2, adapted=adapted)] == ["lora_a.q_proj.0"]
    with pytest.raises(SiteError, match="no LoRA there"):
        resolve("lora_a.v_proj", n_layers=2, adapted=adapted)


@pytest.mark.parametrize(
    ("selection", "remedy"),
    [
        ("resid_post.4", "layers 0 to 3"),
        ("residpost.1", "did you mean .resid_post."),
        ("resid_post.3:1", "choose one inside"),
        ("resid_post.120%", "0% to 100%"),
        ("resid_post.x", "write an index"),
        ("blocks.1.hook_q", "use one of these"),
        ("lora_a.wq.1", "lora_out.down_proj.3"),
        ([], "at least one"),
    ],
)
def test_a_wrong_selection_says_what_to_do(selection: object, remedy: str) -> None:
    """Every mistake is a SiteError of one line."""
    with pytest.raises(SiteError, match=remedy) as error:
        resolve(selection, n_layers=4)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_a_name_without_layer_is_no_single_site() -> None:
    """parse asks for the layer."""
    with pytest.raises(SiteError, match="needs a layer"):
        Site.parse("resid_post")
    with pytest.raises(SiteError, match="has no layer"):
        Site.parse("final_norm.3")
