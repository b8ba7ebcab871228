"""The doctor's judgement: facts in, one line out for each thing that may be wrong, with the remedy.

    facts of mysql, opensearch, the host, the configuration ──▶ judgement ──▶ Finding (OK, WARN or FAIL) ──▶ `check`

    FAIL    what the configuration asks for cannot work
    WARN    it works, and somebody should know: at risk, weaker than it could be, or not what was probably meant
    OK      looked at and found in order; the finding says what was seen

Pure: nothing here asks a server, reads a file or knows the time. Asking, and what to do when no answer comes, is
left to the verb.
"""
