"""The self-report battery against one forward pass a prompt and option: time, and whether the scores are
equal.

    python benchmarks/self_report.py [--model FOLDER] [--bank risk] [--split test] [--out results.json]
    python benchmarks/self_report.py --model smollm2 --split dev --bar 5 --within 1e-4

The plain way renders every conversation with every option, runs it through the Hugging Face model by itself
and adds up the option's log-probabilities; what is shared is computed again each time. Ours reads all of them
as one tree. Without --model a random Llama of about 1 million parameters with a Llama-3-style template is
built. Bars: `--bar` in wall clock and in processor time (wall clock only says something on a quiet machine),
scores equal within `--within`.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import lines
import numpy as np
import torch
from lines import Line

import activations
from activations.conversation import tails, template_of
from mi_bsa.asking import ask, bank_items, load_bank
from mi_bsa.asking.likelihood import Questions, branch
from mi_bsa.core.items import Item


def plain_scores(model: activations.Model, items: list[Item]) -> list[float]:
    """Scores by one unbatched forward pass a prompt and option."""
    template = template_of(model)
    found = []
    for item in items:
        prompt, ends = tails(template, item.messages, [text for text, _ in item.options])
        # What the template writes before every answer alike is prompt; a turn's end is scored as in `branch`.
        shared = len(ends[0].lead) if len({tail.lead for tail in ends}) == 1 else 0
        scored = len(ends[0].lead + ends[0].answer) - shared
        extra = len(branch(item, template).reads[0]) - scored
        log_probs = []
        for tail in ends:
            said = tail.lead + tail.answer + tail.closing[:extra]
            ids = torch.tensor([prompt + said])
            with torch.no_grad():
                logits = model.inner(ids, use_cache=False).logits[0].float().log_softmax(-1)
            start = len(prompt) + shared
            log_probs.append(sum(float(logits[k - 1, ids[0, k]]) for k in range(start, ids.shape[1])))
        shares = np.exp(np.array(log_probs) - max(log_probs))
        found.append(float(shares @ [score for _, score in item.options] / shares.sum()))
    return found


def random_llama(folder: Path) -> Path:
    """A random Llama, width 128, 4 layers, with a byte-level BPE trained on the bank's own questions."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    text = [m["content"] for item in bank_items(load_bank("risk"), split="dev") for m in item.messages]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=2000, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=special[0], eos_token=special[3])
    opening = "'<|start_header_id|>' + {} + '<|end_header_id|>\n\n'"
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}{{ "
        + opening.format("m['role']")
        + " + m['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ "
        + opening.format("'assistant'")
        + " }}{% endif %}"
    )
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=3,
    )
    LlamaForCausalLM(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def main() -> None:
    """Measure, print, and fail where a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=None)
    parser.add_argument("--bank", default="risk")
    parser.add_argument("--split", default="test")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bar", type=float, default=3)
    parser.add_argument("--within", type=float, default=1e-5)
    parser.add_argument("--out", type=Path)
    lines.options(parser)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as where:
        model = activations.load(given.model or random_llama(Path(where)))
        items = bank_items(load_bank(given.bank), split=given.split)
        ask(model, items[:4])
        plain_scores(model, items[:1])
        wall, cpu = time.perf_counter(), time.process_time()
        ours = ask(model, items)["score"].to_numpy()
        wall_ours, cpu_ours = time.perf_counter() - wall, time.process_time() - cpu
        wall, cpu = time.perf_counter(), time.process_time()
        plain = np.array(plain_scores(model, items))
        wall_plain, cpu_plain = time.perf_counter() - wall, time.process_time() - cpu
    tree = Questions.of(model, items).tree
    found = {
        "items": len(items),
        "tokens_of_the_tree": len(tree),
        "forwards_plain": sum(len(item.options) for item in items),
        "wall_plain_s": round(wall_plain, 2),
        "wall_ours_s": round(wall_ours, 2),
        "wall_ratio": round(wall_plain / wall_ours, 2),
        "cpu_ratio": round(cpu_plain / cpu_ours, 2),
        "largest_difference": float(np.abs(ours - plain).max()),
    }
    for key, value in found.items():
        print(f"{key:<20}{value}")
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n")
    name = given.model or "random Llama, 1 million parameters"
    line = Line(
        topic="self-report battery",
        claim="all options as one tree against one forward pass a prompt and option",
        model=lines.MODELS.get(name, name),
        ratio=found["cpu_ratio"],
        compared=f"scores within {found['largest_difference']:.1e}",
        ours=round(cpu_ours, 2),
        peer=round(cpu_plain, 2),
        bar=given.bar,
        note=f"{len(items)} {given.split} questions of {given.bank}, {found['forwards_plain']} passes "
        f"against a tree of {len(tree)} tokens; {found['wall_ratio']}x wall",
    )
    lines.write([line], given.record, clock="processor")
    if min(found["wall_ratio"], found["cpu_ratio"]) < given.bar or found["largest_difference"] > given.within:
        sys.exit(f"a bar is missed: at least {given.bar:g}x, scores within {given.within:g}")


if __name__ == "__main__":
    main()
