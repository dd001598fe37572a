#!/usr/bin/env bash
# Fetches a data set that has a public address: the folder is whole or not there.
#
#   scripts/download.sh                 the names
#   scripts/download.sh NAME [FOLDER]   into data/NAME or FOLDER
#
# What a broken download has brought stays in FOLDER.download; the same command goes on from there. Hashes are those of
# scripts/downloads.txt; a file for which none is published is held to the hash of its first download, kept in
# FOLDER.sha256. RECTRAIN_DOWNLOADS names another list.
set -euo pipefail

list=${RECTRAIN_DOWNLOADS:-$(dirname "$0")/downloads.txt}
name=${1:-}
folder=${2:-data/$name}
work=$folder.download
recorded=$folder.sha256
progress=(--silent --show-error)
[ ! -t 2 ] || progress=(--progress-bar)  # a bar is for terminals

fail() {
  echo "download.sh: $*" >&2
  exit 2
}

facts() {  # kind -> what the list says of it, one a line
  awk -v name="$name" -v kind="$1" '$1 == name && $2 == kind { print $3 ($4 == "" ? "" : "  " $4) }' "$list"
}

get() {  # address file: whole, as far as the server says
  local code=0 status
  echo "fetching $1"
  status=$(send "$1" "$2" --continue-at -) || code=$?
  if [ "$code" = 33 ]; then
    echo "download.sh: the server cannot send the rest of $1 alone; from the start once more"
    rm -f "$2.part"
    code=0
    status=$(send "$1" "$2") || code=$?
  fi
  case $code/$status in
    0/*) mv "$2.part" "$2" ;;
    22/416) mv "$2.part" "$2" ;;  # nothing is left to send
    22/*) fail "$1: the server says $status. Is this address in $list still right?" ;;
    *) fail "$1: broken off (curl: $code). What came is kept; the same command goes on from there." ;;
  esac
}

send() {  # address file flag ...: prints the HTTP status
  curl "${progress[@]}" --fail --location --retry 3 --write-out '%{http_code}' --output "$2.part" "${@:3}" "$1"
}

check() {  # file: against the published hash, else that of its first download
  local sums=$work/$1.sha256
  facts sha256 | awk -v file="$1" '$2 == file' > "$sums"
  local what="its published sha256"
  if [ ! -s "$sums" ] && [ -e "$recorded" ]; then
    awk -v file="$1" '$2 == file' "$recorded" > "$sums"
    what="$recorded, its first download"
  fi
  [ ! -s "$sums" ] || (cd "$work" && sha256sum --check --quiet "$1.sha256") || refuse "$1" "$what"
}

record() {  # file: where nothing is known of it yet
  [ ! -s "$work/$1.sha256" ] || return 0
  (cd "$work" && sha256sum "$1") >> "$recorded"
  echo "no sha256 of $1 is published; that of this first download is kept in $recorded"
}

refuse() {  # file what
  rm -rf "${work:?}"
  fail "$1 differs from $2, and was removed. Run the command again to fetch it anew."
}

unpack() {  # file: into $work/unpacked
  case $1 in
    *.zip) python3 -m zipfile -e "$work/$1" "$work/unpacked" ;;
    *) { [ "${1%.gz}" = "$1" ] || gzip -t "$work/$1"; } && cp "$work/$1" "$work/unpacked/" ;;
  esac || fail "$work/$1 cannot be unpacked (see above). Where there is room, it is damaged: remove it and run again."
}

names() {
  awk '$2 == "url" && $1 !~ /^#/ { print "  " $1 }' "$list" | sort -u
}

[ -n "$name" ] || { printf 'usage: scripts/download.sh NAME [FOLDER]\n%s\n' "$(names)" >&2; exit 2; }
addresses=$(facts url)
[ -n "$addresses" ] || fail "$name: there is no such name in $list. It has
$(names)"
for tool in curl python3 sha256sum md5sum gzip; do
  command -v "$tool" > /dev/null || fail "needs $tool, which is not installed"
done
if [ -e "$folder" ]; then
  echo "$folder is there already; remove it to fetch it once more"
  exit 0
fi

mkdir -p "$work"
files=()
for address in $addresses; do
  file=$(basename "$address")
  [ -e "$work/$file" ] || get "$address" "$work/$file"
  check "$file"
  files+=("$file")
done
rm -rf "$work/unpacked"
mkdir "$work/unpacked"
for file in "${files[@]}"; do
  unpack "$file"
done

inner=$work/unpacked
rm -rf "$inner/__MACOSX"
while [ "$(ls -A "$inner" | wc -l)" = 1 ] && [ -d "$inner/$(ls -A "$inner")" ]; do
  inner=$inner/$(ls -A "$inner")  # an archive of one folder
done
facts md5 > "$work/published.md5"
if [ -s "$work/published.md5" ]; then
  md5=$(cd "$work" && pwd)/published.md5
  (cd "$inner" && md5sum --check --quiet "$md5") || refuse "what was unpacked" "its published md5"
fi
for file in "${files[@]}"; do
  record "$file"
done
mv "$inner" "$folder"
rm -rf "$work"
echo "$folder is whole"
