"""The words before the tables of docs/configuration.md: how the four files are read."""

INTRODUCTION = """\
# Configuration

Four files: `agent.yml`, and the three it names. `audit-agent check --config-only` validates all of them without
connecting to anything. This page is written from the code (`python -m agent.config.reference`); the files in
`config/` hold every key with its default and the reason.

## How the files are read

- **Unknown key**: an error that names the near one. **A bad value**: file, line, path, what was got, what is
  allowed. All problems of all files are reported at once, and the exit code is 2:

      config/agent.yml:31: tail.batch_row: unknown key; did you mean «batch_rows»?
      config/retention.yml:8: rows.days: got "abc", allowed a whole number from 0 to 36500 (0: for ever)

- **A key without a value** counts as left out; so does an empty value where the default is «none».
- **Environment**: `${NAME}` is replaced by the variable, which must be set; `${NAME:-default}` takes the default
  when it is unset or empty; `$${` writes `${`. What a variable holds is a value and never read as YAML. Inside `[
  ]` and `{ }` put it in quotes.
- **Lists** of hosts, replicas, channels and names may be one comma-separated text, for variables.
- **Sizes**: a whole number of bytes, or a number with `B`, `KB`, `MB` or `GB` (also `K`, `KiB`, …, in any case).
  Each is 1024 of the one before, as in MySQL and OpenSearch, so `5MB` is 5 242 880 bytes and `5000000` is 5 000
  000.
- **Times**: keys that end in `_seconds` or `_hours` are plain numbers. Durations elsewhere are a whole number with
  its unit: `90s`, `15m`, `26h`, `7d`, `2w`. Times of day are `HH:MM` in UTC.
- **Paths** count from the folder of the file that names them; `~` is the home of the agent's account.
- **Names** (`instance`, `index_prefix`, `agent_prefix`, and those of rules, holds and alerts): lower-case letters,
  digits, `-` and `_`, starting with a letter or digit, at most 40 characters.
- **Secrets**: every password has a twin with `_file`. The file holds it alone; the line end is not part of it; it
  is read at each use, so a rotated one needs no restart. No message, log, metric or `status` shows a secret.
- **YAML** tags (`!…`), duplicate keys, merge keys (`<<`) and documents that unfold beyond 50 000 values are
  refused. `yes`, `no`, `on` and `off` are words, understood wherever true or false is asked for; `13:20` is text.
- **Match** (`rules`, `holds`, alerts): column → a value, a list of values, or a glob with `*` and `?`. All columns
  must agree, any value of a list is enough. Columns: `module_slug`, `source`, `action`, `severity`, `service_id`,
  `admin_id`, `client_id`, `ip_address`; in alerts also `context.PATH`.
- **Retention keeps in doubt**: no file, no section, no `days`, or `days: 0` delete nothing; negative days,
  fractions, words and more than 36 500 are refused; documents may be kept longer than rows, never shorter.
"""
