package importer

import (
	"fmt"
	"strings"
	"testing"

	"viplease/config"
)

// TestInstances: which VIPs the instances become.
func TestInstances(t *testing.T) {
	instance := func(name, settings string, addresses ...string) string {
		return "vrrp_instance " + name + " {\n" + settings + "\nvirtual_ipaddress {\n" + strings.Join(addresses, "\n") + "\n}\n}\n"
	}
	master := "interface e\nstate MASTER"
	for _, tt := range []struct{ src, want string }{
		{instance("a", "interface e", "10.0.0.1"), "a: 10.0.0.1/32 dev e"},
		{instance("a", "", "10.0.0.1"), "a: 10.0.0.1/32"},
		{instance("a", "interface e", "10.0.0.1") + instance("b", "interface e", "10.0.0.2"), "a: 10.0.0.1/32 dev e; b: 10.0.0.2/32 dev e"},
		{instance("a", "interface e", "10.0.0.1/24 dev f", "10.0.0.2 # not this", "! nor this"), "a: 10.0.0.1/24 dev f, 10.0.0.2/32 dev e"},
		{instance("a", master, "10.0.0.1"), "a: 10.0.0.1/32 dev e prefer n"},
		{instance("a", "state BACKUP", "10.0.0.1"), "a: 10.0.0.1/32"},
		{instance("a", "nopreempt", "10.0.0.1"), "a: 10.0.0.1/32 failback never"},
		{instance("a", "nopreempt", "10.0.0.1") + instance("b", "", "10.0.0.2"), "a: 10.0.0.1/32; b: 10.0.0.2/32"},
		{instance("a", "", "10.0.0.1") + instance("a", "", "10.0.0.2") + instance("a-2", "", "10.0.0.3"), "a: 10.0.0.1/32; a-2: 10.0.0.2/32; a-2-2: 10.0.0.3/32"},
		{instance(`"my vip"`, "", "10.0.0.1"), "my-vip: 10.0.0.1/32"},
		{instance("***", "", "10.0.0.1"), "vip: 10.0.0.1/32"},
		{instance("a", "interface e", "2001:db8::1/64", "2001:DB8:0::2/15", "2001:db8::3/16"), "a: 2001:db8::1/64 dev e, 2001:db8::2/128 dev e, 2001:db8::3/16 dev e"},
		{instance("a", "interface e", "fe80::1", "fe80::1 dev f", "fe80::1"), "a: fe80::1/128 dev e, fe80::1/128 dev f"},
		{instance("a", "", "10.0.0.1") + instance("b", master, "10.0.0.2") + "vrrp_sync_group g {\ngroup {\na\nb\n}\n}", "g: 10.0.0.1/32, 10.0.0.2/32 dev e prefer n"},
		{"vrrp_sync_group g { group { b a } }\n" + instance("a", "", "10.0.0.1") + instance("b", "", "10.0.0.2"), "g: 10.0.0.2/32, 10.0.0.1/32"},
		{"vrrp_sync_group g { group { a a none } }\nvrrp_sync_group h { group { a } }\n" + instance("a", "", "10.0.0.1"), "h: 10.0.0.1/32"},
		{"vrrp_sync_group a { group { a } }\n" + instance("a", "", "10.0.0.1"), "a: 10.0.0.1/32"},
		{"vrrp_instance\ta\n{ virtual_ipaddress\n\n{ 10.0.0.1 }\n}", "a: 10.0.0.1/32"},
		{"vrrp_instance a{virtual_ipaddress{10.0.0.1\n}virtual_ipaddress_excluded{10.0.0.2}}", "a: 10.0.0.1/32, 10.0.0.2/32"},
	} {
		r, err := Keepalived("k.conf", []byte(tt.src), Options{Node: "n"})
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
			continue
		}
		if got := describe(checkTOML(t, r)); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.src, got, tt.want)
		}
	}
}

// describe is the VIPs of a configuration on one line.
func describe(c config.Config) string {
	all := make([]string, len(c.VIPs))
	for i, v := range c.VIPs {
		list := make([]string, len(v.Addresses))
		for j, a := range v.Addresses {
			list[j] = a.String()
		}
		all[i] = v.Name + ": " + strings.Join(list, ", ")
		if len(v.Prefer) > 0 {
			all[i] += " prefer " + strings.Join(v.Prefer, " ")
		}
	}
	s := strings.Join(all, "; ")
	if !c.Balance.Failback {
		s += " failback never"
	}
	return s
}

// TestTelling: what keepalived has and viplease has not is told of.
func TestTelling(t *testing.T) {
	const src = "vrrp_instance a {\nvirtual_ipaddress {\n10.0.0.1\n}\n%s\n}\n"
	for setting, want := range map[string]string{
		"priority 150":                    `k.conf:5: priority: "150" is gone`,
		"preempt_delay 5":                 "preempt_delay: is gone: mature",
		"notify_master /x.sh":             "notify_master: hooks.acquired",
		"notify_fault /x.sh":              "notify_fault: hooks.released",
		"smtp_alert":                      "smtp_alert: is left out",
		"track_script {\nx\n}":            "track_script: is left out; a [[check]]",
		"track_interface {\neth1\n}":      "track_interface: is left out; an interface",
		"virtual_rules {\nfrom x\n}":      "virtual_rules: is left out",
		"use_vmac vrrp.1":                 "use_vmac: is gone",
		"advert_int 1\nvirtual_router_id": "advert_int, virtual_router_id",
		"\x1b[31m":                        `k.conf:5: from here on are left out, being VRRP's own or without an equivalent: \x1b[31m`,
		"@host priority 1":                "@host: the line is left out",
		"}\nvrrp_script s {\nscript x":    `vrrp_script: "s" is left out`,
		"}\nvirtual_server x 80 {":        "keepalived can go on doing it",
		"}\nstatic_routes {":              "static_routes: is left out",
		"}\nglobal_defs {":                "global_defs: is left out",
		"}\ninclude x\nbfd_instance {":    "include: the file is not read",
	} {
		r, err := Keepalived("k.conf", fmt.Appendf(nil, src, setting), Options{})
		if err != nil {
			t.Errorf("%q: %v", setting, err)
			continue
		}
		checkTOML(t, r)
		if !strings.Contains(notes(r), want) {
			t.Errorf("%q: the notes are\n%s", setting, notes(r))
		}
	}
}
