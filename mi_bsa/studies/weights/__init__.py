"""Weights alone: is an adapter backdoored, told from its weights without a forward pass?"""
