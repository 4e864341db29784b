"""What `dvc repro` prints, line by line."""

import re

# The name of a stage that begins, and of one that is not run, since nothing changed or the cache has what it makes.
BEGUN = re.compile(r"Running stage '(.+)':$")
SKIPPED = re.compile(r"Stage '(.+)' (?:didn't change, skipping|is cached - skipping run, checking out outputs)$")
# What DVC says to those who type its commands.
CHATTER = re.compile(r"$|> |(Updating|Generating) lock file|Use `dvc push`|To (track|enable) |\tgit add|\tdvc config")
