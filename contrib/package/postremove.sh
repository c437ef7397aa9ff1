#!/bin/sh
# After the files are gone. dpkg says "remove", "purge" or "upgrade VERSION", rpm says how many versions are left. The user stays: files may be its own.
set -e
case "${1:-}" in
remove | purge | 0) ;;
*) exit 0 ;;
esac
[ ! -d /run/systemd/system ] || systemctl daemon-reload || :
[ "$1" = remove ] || rm -rf /run/viplease
