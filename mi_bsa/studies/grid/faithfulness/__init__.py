"""Faithfulness: do runs that do more of something also say more of it? `study: faithfulness`."""
