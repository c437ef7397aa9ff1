#!/bin/sh
# After the files are there. dpkg says "configure [OLD-VERSION]", rpm says how many versions are installed now.
set -e
upgrade=
case "${1:-}" in
configure) [ -z "${2:-}" ] || upgrade=yes ;;
1) ;;
2) upgrade=yes ;;
*) exit 0 ;;
esac

if ! getent passwd viplease >/dev/null; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers viplease.conf
	else
		useradd --system --user-group --home-dir / --no-create-home --shell /usr/sbin/nologin viplease
	fi
fi

if [ -z "$upgrade" ]; then
	sysctl -q -p /usr/lib/sysctl.d/60-viplease.conf 2>/dev/null || echo "viplease: some of /usr/lib/sysctl.d/60-viplease.conf could not be set now" >&2
fi

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || :
if [ -z "$upgrade" ]; then
	echo "viplease: fill in endpoints and addresses in /etc/viplease/viplease.toml, then: viplease check --live && systemctl enable --now viplease"
	exit 0
fi
# A reload becomes the new program in place. A restart would hand every VIP over, on each node in turn.
systemctl list-units --plain --no-legend --state=active,reloading 'viplease.service' 'viplease@*.service' | while read -r unit _; do
	systemctl reload "$unit" || echo "viplease: systemctl reload $unit did not work; the old version goes on" >&2
done
