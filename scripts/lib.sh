# shellcheck shell=bash
# shellcheck disable=SC2034 # what the scripts that source this use
# Sourced by the scripts: where things are, colours, Debian packages, the Rust toolchain, the build.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=/usr/bin/python3 # Debian's own: python3-scapy belongs to it
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$ROOT/scripts

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
  BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
  BOLD='' RED='' GREEN='' PLAIN=''
fi

say() { printf '%s\n' "$BOLD$*$PLAIN"; }
die() {
  printf '%s\n' "$RED$*$PLAIN" >&2
  exit 1
}

need_root() {
  [ "$(id -u)" = 0 ] || die "$1 needs root. Run it again as root, for example: sudo $0"
}

# need_packages GROUP...: installs what is missing of these groups of packages.txt.
need_packages() {
  local group package _ missing=()
  while read -r group package _; do
    case " $* " in *" $group "*) ;; *) continue ;; esac
    is_installed "$package" || missing+=("$package")
  done < <(grep -v '^#' "$ROOT/scripts/packages.txt")
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "not a Debian system: install what stands for these Debian packages: ${missing[*]}"
  [ "$(id -u)" = 0 ] || die "missing packages; as root: apt-get install ${missing[*]}"
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  if [ -z "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit)" ]; then quietly apt-get update; fi
  # A list that is old names versions that the archive has dropped.
  quietly apt-get install -y --no-install-recommends "${missing[@]}" ||
    { quietly apt-get update && quietly apt-get install -y --no-install-recommends "${missing[@]}"; } ||
    die "apt-get could not install ${missing[*]}"
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# need_rust: cargo, at least as new as Cargo.toml asks.
need_rust() {
  [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
  if ! command -v cargo >/dev/null; then
    say "installing Rust with rustup"
    command -v curl >/dev/null || { need_root "installing curl"; quietly apt-get install -y curl ca-certificates; }
    quietly sh -c 'curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal' ||
      die "no Rust: install Rust $wanted or newer (https://rustup.rs)"
    . "$HOME/.cargo/env"
  fi
  have=$(cd "$ROOT" && cargo --version | awk '{print $2}')
  [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ] ||
    die "cargo $have is too old: install Rust $wanted or newer (rustup update)"
}

# need_nightly: nightly Rust, for what stable has not (fuzzing, sanitizers).
need_nightly() {
  need_rust
  cargo +nightly --version >/dev/null 2>&1 && return
  command -v rustup >/dev/null || die "this needs nightly Rust (https://rustup.rs)"
  say "installing nightly Rust"
  quietly rustup toolchain install nightly --profile minimal || die "nightly Rust could not be installed"
}

# need_space GIB: so much must fit where things are built, with what is built already.
need_space() {
  local free built
  free=$(df --output=avail -k "$ROOT" | tail -n 1)
  built=$(du -sk "$ROOT/target" 2>/dev/null | cut -f 1 || true)
  [ $((free + ${built:-0})) -ge $(($1 << 20)) ] && [ $free -ge $((1 << 20)) ] ||
    die "the disk is short: $((free >> 20)) GiB are free in $ROOT, $1 GiB are needed with what is built there"
}

# quietly COMMAND...: its output only when it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  [ $status = 0 ] || cat "$log" >&2
  rm -f "$log"
  return $status
}
