"""Ways to have git miss work, or commit something else: shell commands, and the file that must be kept.

As a control, `git add -A; git commit` loses or changes that file, or does not end.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hiding:
    """One attack: what the agent runs, and what the snapshot must hold."""

    script: str
    path: str = "a"
    content: bytes = b"9\n"
    mode: str = "100644"


_EDIT = "; echo 9 > a"

HIDINGS = {
    "assume-unchanged": Hiding("git update-index --assume-unchanged a" + _EDIT),
    "skip-worktree": Hiding("git update-index --skip-worktree a" + _EDIT),
    "sparse checkout": Hiding(
        "git config core.sparseCheckout true; mkdir -p .git/info; echo /d/ > .git/info/sparse-checkout; "
        "git read-tree -mu HEAD" + _EDIT
    ),
    "excluded in .git": Hiding("mkdir -p .git/info; echo new > .git/info/exclude; echo 9 > new", "new"),
    "core.excludesFile": Hiding("echo new > d/x; git config core.excludesFile d/x; echo 9 > new", "new"),
    "core.worktree": Hiding("mkdir ../else; git config core.worktree $PWD/../else" + _EDIT),
    "core.bare": Hiding("git config core.bare true" + _EDIT),
    "core.fileMode": Hiding("git config core.fileMode false; chmod +x a" + _EDIT, mode="100755"),
    "same size and time": Hiding(
        "touch -d 2020-01-01 a; git update-index --refresh; git config core.trustctime false; "
        "git config core.checkStat minimal; echo 9 > a; touch -d 2020-01-01 a"
    ),
    "stale lock": Hiding(": > .git/index.lock" + _EDIT),
    "stale lock of HEAD": Hiding(": > .git/HEAD.lock" + _EDIT),
    "index of nothing": Hiding("head -c 3000000 /dev/zero > .git/index" + _EDIT),
    "index of the future": Hiding("printf 'DIRC\\0\\0\\0\\143' > .git/index" + _EDIT),
    "index is a folder": Hiding("rm .git/index; mkdir .git/index" + _EDIT),
    "objects gone": Hiding("rm -rf .git/objects; mkdir .git/objects; chmod 500 .git/objects" + _EDIT),
    "objects are a file": Hiding("rm -rf .git/objects; : > .git/objects" + _EDIT),
    "objects damaged": Hiding(
        "find .git/objects -type f -exec sh -c 'chmod +w $0; echo x > $0' {} \\;" + _EDIT
    ),
    "alternates in a ring": Hiding(
        "rm -rf .git/objects/*; mkdir .git/objects/info; "
        "echo $PWD/.git/objects > .git/objects/info/alternates" + _EDIT
    ),
    "HEAD leads out": Hiding("echo 'ref: ../../x' > .git/HEAD" + _EDIT),
    "HEAD is nonsense": Hiding("echo nonsense > .git/HEAD" + _EDIT),
    "refs with odd names": Hiding("rm -rf .git/refs; echo nonsense > .git/packed-refs" + _EDIT),
    "configuration that can't be read": Hiding("echo '[' >> .git/config" + _EDIT),
    "format of the future": Hiding("git config core.repositoryFormatVersion 99" + _EDIT),
    "unknown extension": Hiding(
        "git config core.repositoryFormatVersion 1; git config extensions.x y" + _EDIT
    ),
    "include that is missing a bracket": Hiding("echo '[' > d/x; git config include.path $PWD/d/x" + _EDIT),
    ".git removed": Hiding("rm -rf .git" + _EDIT),
    ".git elsewhere": Hiding("rm -rf .git; echo gitdir: /nonexistent > .git" + _EDIT),
    ".git is a loop": Hiding("rm -rf .git; ln -s .git .git" + _EDIT),
    "nested repository": Hiding("git init -q n; echo 9 > n/f; git -C n add f; git -C n commit -qm n", "n/f"),
    "nested repository without commit": Hiding("git init -q n; echo 9 > n/f", "n/f"),
    "nested below a tracked folder": Hiding(
        "git init -q d/e; echo 9 > d/e/c; git -C d/e add c; git -C d/e commit -qm n; git rm -rq --cached d",
        "d/e/c",
    ),
    "attribute eol": Hiding("echo '* text eol=lf' > .gitattributes; printf '9\\r\\n' > a", content=b"9\r\n"),
    "core.autocrlf": Hiding("git config core.autocrlf input; printf '9\\r\\n' > a", content=b"9\r\n"),
    "attribute ident": Hiding(
        "echo 'a ident' > .gitattributes; printf '$Id: secret $\\n' > a", content=b"$Id: secret $\n"
    ),
    "working-tree-encoding": Hiding(
        "echo 'a working-tree-encoding=UTF-16' > .gitattributes; printf '\\376\\377\\0009\\0\\012' > a",
        content=b"\xfe\xff\x009\x00\n",
    ),
    "encoding that there is none of": Hiding("echo 'a working-tree-encoding=x' > .gitattributes" + _EDIT),
    "filter that lies": Hiding(
        "git config filter.lie.clean 'echo 1'; echo 'a filter=lie' > .gitattributes" + _EDIT
    ),
    "filter that is required": Hiding(
        "git config filter.no.required true; git config filter.no.clean false; "
        "echo 'a filter=no' > .gitattributes" + _EDIT
    ),
    **{
        f"pipe as {name}": Hiding(
            f"mkdir -p .git/info .git/objects/info; rm -f {name}; mkfifo {name}" + _EDIT
        )
        for name in (
            ".git/HEAD",
            ".git/config",
            ".git/packed-refs",
            ".git/info/attributes",
            ".git/info/exclude",
            ".gitattributes",
            ".gitignore",
            "d/.gitignore",
        )
    },
}
