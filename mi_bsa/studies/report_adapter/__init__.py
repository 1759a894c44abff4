"""Report adapters: one LoRA, trained over many finetunes of known truth, that makes others say what they
learned; asked on behaviors, ranks and poles that it never saw.
"""
