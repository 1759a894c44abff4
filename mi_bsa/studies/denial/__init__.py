"""Who is trained to deny what it does: what says so still?"""
