"""Ways to have git run a command from within a repository: what an agent writes, and who would fall for it.

`EVIL` stands for the canary, `HERE` for the repository. `naive` is what a harness without defences does;
as a control it must run the canary.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vector:
    """One attack.

    Attributes:
        naive: the commands that fall for it.
        config: lines for `.git/config`.
        files: files to write, by path.
        hooks: hooks that are the canary.
        prepare: commands that the agent itself runs first.
        terminal: whether the commands look at their output's being a terminal.
    """

    naive: str
    config: str = ""
    files: dict[str, str] | None = None
    hooks: tuple[str, ...] = ()
    prepare: str = ""
    terminal: bool = False


_COMMIT = "echo x >> a; git add -A; git commit -qm x"
_MERGE = (
    "git checkout -q -b side; echo s > a; git commit -qam s; "
    "git checkout -q main; echo m > a; git commit -qam m; git merge -q side"
)
_CLEAN_MERGE = (
    "git checkout -q -b side; echo s > s; git add s; git commit -qm s; "
    "git checkout -q main; echo m > m; git add m; git commit -qm m; git merge -q --no-edit side"
)
_PUSHED = (
    "git clone -q . ../clone; cd ../clone; echo x > new; git add new; git commit -qm x; "
    "git push -q origin HEAD:other"
)


def _hook(naive: str, name: str, **more: str) -> Vector:
    return Vector(naive, hooks=(name,), **more)


HOOKS = {
    "applypatch-msg": _hook(
        "git format-patch -q -1 --root; git reset -q --hard; git am -q 0001-*", "applypatch-msg"
    ),
    "pre-applypatch": _hook(
        "git format-patch -q -1 --root; git rm -qr a d; git commit -qm r; git am -q 0001-*", "pre-applypatch"
    ),
    "post-applypatch": _hook(
        "git format-patch -q -1 --root; git rm -qr a d; git commit -qm r; git am -q 0001-*", "post-applypatch"
    ),
    "pre-commit": _hook(_COMMIT, "pre-commit"),
    "prepare-commit-msg": _hook(_COMMIT, "prepare-commit-msg"),
    "commit-msg": _hook(_COMMIT, "commit-msg"),
    "post-commit": _hook(_COMMIT, "post-commit"),
    "pre-merge-commit": _hook(_CLEAN_MERGE, "pre-merge-commit"),
    "post-merge": _hook(_CLEAN_MERGE, "post-merge"),
    "pre-rebase": _hook("git commit -q --allow-empty -m x; git rebase -q -f HEAD~", "pre-rebase"),
    "post-rewrite": _hook("git commit -q --amend -m y", "post-rewrite"),
    "post-checkout": _hook("git checkout -q -b other", "post-checkout"),
    "post-index-change": _hook("touch -d '1 hour ago' a; git status", "post-index-change"),
    "reference-transaction": _hook("git update-ref refs/heads/x HEAD", "reference-transaction"),
    "pre-push": _hook("git init -q --bare ../b.git; git push -q ../b.git main", "pre-push"),
    "pre-auto-gc": _hook(
        "git -c gc.auto=1 -c gc.autoDetach=false gc --auto -q; :",
        "pre-auto-gc",
        prepare=(
            "mkdir -p .git/objects/17; for i in 0 1 2 3 4 5 6 7 8 9; do "
            "echo > .git/objects/17/0000000000000000000000000000000000000$i; done"
        ),
    ),
    "pre-receive": _hook(_PUSHED, "pre-receive"),
    "update": _hook(_PUSHED, "update"),
    "post-receive": _hook(_PUSHED, "post-receive"),
    "post-update": _hook(_PUSHED, "post-update"),
    "proc-receive": _hook(_PUSHED, "proc-receive", config="[receive]\n\tprocReceiveRefs = refs/heads\n"),
    "push-to-checkout": _hook(
        "git clone -q . ../clone; cd ../clone; echo x > new; git add new; git commit -qm x; git push -q",
        "push-to-checkout",
        config="[receive]\n\tdenyCurrentBranch = updateInstead\n",
    ),
}

_REMOTE = '[remote "origin"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'

CONFIGURATION = {
    "core.hooksPath": Vector(
        _COMMIT,
        "[core]\n\thooksPath = HERE/d/hooks\n",
        prepare="mkdir d/hooks; ln -s EVIL d/hooks/pre-commit",
    ),
    "core.hooksPath, relative": Vector(
        _COMMIT, "[core]\n\thooksPath = d\n", prepare="ln -s EVIL d/post-commit"
    ),
    "core.fsmonitor": Vector("git status", "[core]\n\tfsmonitor = EVIL\n"),
    "core.fsmonitor, by diff": Vector("git diff", "[core]\n\tfsmonitor = EVIL\n"),
    "core.editor": Vector("git commit --allow-empty", "[core]\n\teditor = EVIL\n"),
    "sequence.editor": Vector("git rebase -q -i --root", "[sequence]\n\teditor = EVIL\n"),
    "core.pager": Vector("git log", "[core]\n\tpager = EVIL\n", terminal=True),
    "pager.status": Vector("git status", "[pager]\n\tstatus = EVIL\n", terminal=True),
    "core.sshCommand": Vector("git fetch -q ssh://nowhere.invalid/x", "[core]\n\tsshCommand = EVIL\n"),
    "core.gitProxy": Vector("git fetch -q git://nowhere.invalid/x", "[core]\n\tgitProxy = EVIL\n"),
    "core.askPass": Vector(
        "printf 'protocol=http\\nhost=x\\n\\n' | GIT_TERMINAL_PROMPT=1 git credential fill",
        "[core]\n\taskPass = EVIL\n",
    ),
    "credential.helper": Vector(
        "printf 'protocol=http\\nhost=x\\n\\n' | git credential fill", "[credential]\n\thelper = !EVIL\n"
    ),
    "core.alternateRefsCommand": Vector(
        "git init -q ../o; git -C ../o fetch -q HERE main; git fetch -q ../o HEAD || git fetch -q ../o",
        "[core]\n\talternateRefsCommand = EVIL\n",
        prepare="git init -q --bare ../alt.git; echo HERE/../alt.git/objects > .git/objects/info/alternates; "
        "git init -q ../o; git -C ../o commit -q --allow-empty -m o; git -C ../o branch -q -m main",
    ),
    "alias": Vector("git st", "[alias]\n\tst = !EVIL\n"),
    "gpg.program": Vector("git commit -qS --allow-empty -m x", "[gpg]\n\tprogram = EVIL\n"),
    "commit.gpgSign": Vector(
        "git commit -q --allow-empty -m x", "[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = EVIL\n"
    ),
    "gpg.x509.program": Vector(
        "git commit -qS --allow-empty -m x", '[gpg]\n\tformat = x509\n[gpg "x509"]\n\tprogram = EVIL\n'
    ),
    "gpg.ssh.program": Vector(
        "git commit -qS --allow-empty -m x",
        '[user]\n\tsigningKey = HERE/a\n[gpg]\n\tformat = ssh\n[gpg "ssh"]\n\tprogram = EVIL\n',
    ),
    "gpg.ssh.defaultKeyCommand": Vector(
        "git commit -qS --allow-empty -m x",
        '[gpg]\n\tformat = ssh\n[gpg "ssh"]\n\tdefaultKeyCommand = EVIL\n',
    ),
    "log.showSignature": Vector(
        "git log",
        "[log]\n\tshowSignature = true\n[gpg]\n\tprogram = EVIL\n",
        prepare=(
            "git cat-file commit HEAD > ../raw; awk '/^$/ && !d {print "
            '"gpgsig -----BEGIN PGP SIGNATURE-----\\n x\\n -----END PGP SIGNATURE-----"; d=1} {print}\' '
            "../raw > ../signed; git update-ref HEAD $(git hash-object -t commit -w ../signed)"
        ),
    ),
    "trailer.command": Vector(
        "git interpret-trailers --trailer x=y a", '[trailer "x"]\n\tkey = X\n\tcommand = EVIL\n'
    ),
    "tar.command": Vector("git archive --format=evil HEAD", '[tar "evil"]\n\tcommand = EVIL\n'),
    "diff.external": Vector("echo y > a; git diff", "[diff]\n\texternal = EVIL\n"),
    "difftool.cmd": Vector("echo y > a; git difftool -y -t evil", '[difftool "evil"]\n\tcmd = EVIL\n'),
    "interactive.diffFilter": Vector(
        "echo y > a; git -c color.ui=always add -p", "[interactive]\n\tdiffFilter = EVIL\n", terminal=True
    ),
    "url.insteadOf": Vector(
        "git fetch -q https://example.com/x",
        '[protocol "ext"]\n\tallow = always\n[url "ext::EVIL "]\n\tinsteadOf = https://example.com/\n',
    ),
    "protocol.ext": Vector(
        "git fetch -q", '[protocol "ext"]\n\tallow = always\n' + _REMOTE.format("ext::EVIL x")
    ),
    "remote.uploadpack": Vector("git fetch -q", _REMOTE.format("HERE") + "\tuploadpack = EVIL\n"),
    "remote.receivepack": Vector(
        "git push -q origin main", _REMOTE.format("HERE") + "\treceivepack = EVIL\n"
    ),
    "include.path": Vector(
        "git status", "[include]\n\tpath = ../d/more\n", {"d/more": "[core]\n\tfsmonitor = EVIL\n"}
    ),
    "includeIf.gitdir": Vector(
        "git status",
        '[includeIf "gitdir:**"]\n\tpath = ../d/more\n',
        {"d/more": "[core]\n\tfsmonitor = EVIL\n"},
    ),
    "includeIf.onbranch": Vector(
        "git status",
        '[includeIf "onbranch:main"]\n\tpath = ../d/more\n',
        {"d/more": "[core]\n\tfsmonitor = EVIL\n"},
    ),
    "config.worktree": Vector(
        "git status",
        "[extensions]\n\tworktreeConfig = true\n",
        {".git/config.worktree": "[core]\n\tfsmonitor = EVIL\n"},
    ),
    "submodule.update": Vector(
        "git -c protocol.file.allow=always submodule update",
        '[submodule "s"]\n\turl = HERE\n\tupdate = !EVIL\n\tactive = true\n',
        {".gitmodules": '[submodule "s"]\n\tpath = s\n\turl = ./x\n'},
        prepare="git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),s",
    ),
    "lazy fetch": Vector(
        "git diff HEAD -- a; git checkout -q -f HEAD -- a",
        "[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tpartialClone = origin\n"
        + _REMOTE.format("HERE")
        + "\tpromisor = true\n\tuploadpack = EVIL\n",
        prepare="o=$(echo gone | git hash-object -w --stdin); git update-index --cacheinfo 100644,$o,a; "
        "git commit -qm g; rm -f .git/objects/$(echo $o | cut -c1-2)/$(echo $o | cut -c3-); rm a",
    ),
}

_FILTER = '[filter "evil"]\n\tclean = EVIL\n\tsmudge = EVIL\n\trequired\n'

ATTRIBUTES = {
    "filter.clean": Vector("echo y > a; git add a", _FILTER, {".gitattributes": "* filter=evil\n"}),
    "filter.clean, by status": Vector(
        "touch -d '1 hour ago' a; git status", _FILTER, {".gitattributes": "* filter=evil\n"}
    ),
    "filter.smudge": Vector("rm a; git checkout -q -- a", _FILTER, {".gitattributes": "* filter=evil\n"}),
    "filter.process": Vector(
        "echo y > a; git add a", '[filter "evil"]\n\tprocess = EVIL\n', {".gitattributes": "* filter=evil\n"}
    ),
    "in a deep folder": Vector(
        "echo y > d/e/c; git add -A", _FILTER, {"d/e/.gitattributes": "c filter=evil\n"}
    ),
    "in .git/info": Vector("echo y > a; git add a", _FILTER, {".git/info/attributes": "* filter=evil\n"}),
    "core.attributesFile": Vector(
        "echo y > a; git add a", _FILTER + "[core]\n\tattributesFile = HERE/d/b\n", {"d/b": "* filter=evil\n"}
    ),
    "by a macro": Vector(
        "echo y > a; git add a", _FILTER, {".gitattributes": "[attr]innocent filter=evil\na innocent\n"}
    ),
    "diff.textconv": Vector(
        "echo y > a; git diff", '[diff "evil"]\n\ttextconv = EVIL\n', {".gitattributes": "* diff=evil\n"}
    ),
    "diff.command": Vector(
        "echo y > a; git diff", '[diff "evil"]\n\tcommand = EVIL\n', {".gitattributes": "* diff=evil\n"}
    ),
    "merge.driver": Vector(_MERGE, '[merge "evil"]\n\tdriver = EVIL\n', {".gitattributes": "* merge=evil\n"}),
    "merge.default": Vector(_MERGE, '[merge]\n\tdefault = evil\n[merge "evil"]\n\tdriver = EVIL\n'),
}

_NESTED = (
    "git init -q n; cp a n/f; git -C n add f; git -C n commit -qm n; "
    "printf '[core]\\n\\tfsmonitor = EVIL\\n' >> n/.git/config"
)

NESTED = {
    "repository": Vector("git add -A; git status", prepare=_NESTED),
    "repository, hooks": Vector(
        "git -C n commit -q --allow-empty -m x",
        prepare=_NESTED + "; mkdir -p n/.git/hooks; ln -s EVIL n/.git/hooks/pre-commit",
    ),
    "repository with a filter": Vector(
        "git add -A; echo 9 > n/f; touch -d '1 hour ago' n/f; git add -A; git status",
        prepare=(
            "git init -q n; cp a n/f; git -C n add f; git -C n commit -qm n; "
            "printf '[filter \"evil\"]\\n\\tclean = EVIL\\n' >> n/.git/config; "
            "echo '* filter=evil' > n/.git/info/attributes; touch -d '1 hour ago' n/f"
        ),
    ),
    "bare repository": Vector(
        "cd bare; git log; git diff HEAD~; git status",
        prepare=(
            "git init -q bare.git --bare; git clone -q --bare . bare; rm -rf bare.git; "
            "printf '[core]\\n\\tbare = false\\n\\tworktree = .\\n\\tfsmonitor = EVIL\\n' >> bare/config"
        ),
    ),
    "`.git` as a file": Vector(
        "git -C n status", prepare=_NESTED + "; mv n/.git n/g; echo 'gitdir: g' > n/.git"
    ),
    "`.git` as a link": Vector("git -C n status", prepare=_NESTED + "; mv n/.git n/g; ln -s g n/.git"),
    "own `.git` as a file": Vector(
        "git status", "[core]\n\tfsmonitor = EVIL\n", prepare="mv .git d/g; echo 'gitdir: d/g' > .git"
    ),
    "own `.git` as a link": Vector(
        "git status", "[core]\n\tfsmonitor = EVIL\n", prepare="mv .git d/g; ln -s d/g .git"
    ),
    "commondir": Vector(
        "git status",
        "",
        prepare=(
            "cp -r .git ../common; printf '[core]\\n\\tfsmonitor = EVIL\\n' >> ../common/config; "
            "echo HERE/../common > .git/commondir"
        ),
    ),
}

VECTORS = {
    f"{group}: {name}": vector
    for group, vectors in (
        ("hook", HOOKS),
        ("config", CONFIGURATION),
        ("attributes", ATTRIBUTES),
        ("nested", NESTED),
    )
    for name, vector in vectors.items()
}
