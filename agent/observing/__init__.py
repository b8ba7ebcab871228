"""What the agent says about itself: log events, metrics, health, status, and the word to systemd.

Nothing here knows a step or asks a server: whoever runs the steps hands their results in. That keeps one rule easy
to check: what is published was measured by somebody who says so, and a silent number is never taken for zero.
"""
