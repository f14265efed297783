# Shared by the programs in tools/: messages, packages, paths. Sourced, not run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/akin
build=${AKIN_BUILD:-$top/build}

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' plain=$'\e[0m'
else
  bold='' plain=''
fi

say() { printf '%s%s%s\n' "$bold" "$*" "$plain"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# logged FILE COMMAND...: runs the command with its output in FILE; on failure
# shows the end of FILE and stops.
logged() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    die "'$*' failed; the whole output is in $log"
  fi
}

# missing_packages GROUP...: the packages of these groups that are not installed.
missing_packages() {
  local group name _
  while read -r group name _; do
    case " $* " in *" $group "*) ;; *) continue ;; esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
  done < <(grep -v '^#' "$top/tools/packages")
}

# install_packages GROUP...: installs what is missing, after saying what.
install_packages() {
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
    die "this script installs Debian packages, and there is no apt-get here. Install what tools/packages lists by hand, then: cmake -B build -G Ninja && ninja -C build"
  local missing sudo=()
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "Installing ${#missing[@]} Debian packages (and what they depend on):"
  local name
  for name in "${missing[@]}"; do
    awk -v name="$name" '$2 == name { $1 = $2 = ""; sub(/^ +/, ""); printf "  %-20s %s\n", name, $0 }' "$top/tools/packages"
  done
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "run this as root, or install sudo; or run: apt-get install --no-install-recommends ${missing[*]}"
    sudo=(sudo)
  fi
  logged "$cache/log/apt-update" "${sudo[@]}" apt-get update
  logged "$cache/log/apt-install" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}"
}

# configure_and_build DIR [CMAKE OPTION...]
configure_and_build() {
  local dir=$1 faiss
  shift
  faiss=$("$top/tools/faiss" | tail -n 1) || die "FAISS could not be built; see above"
  local options=(-G Ninja "-DAKIN_FAISS_PREFIX=$faiss" "$@")
  if command -v ccache >/dev/null; then
    options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  logged "$dir/log/configure" cmake -S "$top" -B "$dir" "${options[@]}"
  logged "$dir/log/build" ninja -C "$dir"
}
