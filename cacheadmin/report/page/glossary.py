"""What the words on a page mean."""

from __future__ import annotations

GLOSSARY = (
    (
        "Cache",
        "The folder in which uv keeps every package it has downloaded or built, so that the next "
        "installation needs no download. Here many people share one.",
    ),
    (
        "Environment",
        "A folder with the packages of one project or tool. It is made from the cache.",
    ),
    (
        "Archive",
        "One unpacked version of a package in the cache: what environments are made from.",
    ),
    (
        "Symlinked, hardlinked, cloned, copied",
        "How a package got from the cache into an environment. A symlinked one lives in the cache "
        "alone: if its archive goes, the environment breaks. The other three survive.",
    ),
    (
        "On disk, logical, exclusively its own",
        "What the cache takes on the disk; how long its files are; and what would come back if "
        "the whole cache went, since files that environments share by hardlinks or clones stay.",
    ),
    (
        "Uses, alone, frees",
        "What an environment is linked to; how much of that no other user uses; and how much of "
        "that the next prune would free if the environment went. The last is less where uv still "
        "keeps the package for future installations.",
    ),
    (
        "Prune",
        "Removing what no user needs. uv's own prune can't know who uses what; cacheadmin's asks "
        "first, and can put everything back for a while.",
    ),
    (
        "Safe, limited, refused",
        "May the cache be pruned now? Limited: yes, but some things must be kept because they are "
        "in use, or because that could not be seen. Refused: nothing would be changed.",
    ),
    (
        "Quarantine",
        "Where removed things wait for some days before they are deleted for good.",
    ),
    (
        "On trial",
        "What was not seen in use is set aside before it is deleted, and still works from "
        "there. If a user uses it all the same, it comes back by itself.",
    ),
    (
        "Finding",
        "Something that an audit noticed. Error: a user is, or will be, stopped from working, "
        "or could do harm. Warning: it costs room, time or a safety net. Info: good to know.",
    ),
)
