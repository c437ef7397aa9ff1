#!/bin/sh
# Before the files go. dpkg says "remove" or "upgrade VERSION", rpm says how many versions will be left.
set -e
case "${1:-}" in
remove | 0) ;;
*) exit 0 ;;
esac

if [ -d /run/systemd/system ]; then
	# Stopping hands every VIP over to the other nodes.
	systemctl list-units --plain --no-legend --all 'viplease.service' 'viplease@*.service' | while read -r unit _; do
		systemctl disable --now "$unit" || systemctl stop "$unit"
	done
fi

# What a daemon that crashed left behind. This refuses, and so ends the removal, while one runs that systemd does not know. A configuration that was never
# filled in (status 2) has nothing to release.
[ -d /run/viplease ] || exit 0
for file in /etc/viplease/*.toml; do
	[ -e "$file" ] || continue
	status=0
	viplease release -c "$file" || status=$?
	[ "$status" -ne 1 ] || exit 1
done
