package importer

import (
	"slices"
	"strings"
)

// keepalivedWords begin the blocks of a keepalived.conf.
var keepalivedWords = []string{"global_defs", "vrrp_instance", "vrrp_script", "vrrp_sync_group", "virtual_server", "static_ipaddress", "static_routes"}

// Import imports a file of either program: one with a line that begins as a
// block of keepalived does is keepalived's, any other Wackamole's. name is its
// file name in messages. The error, if any, is a [Problems].
func Import(name string, data []byte, opts Options) (Result, error) {
	if len(data) <= maxFile {
		for l := range strings.Lines(string(data)) {
			if w := words(l); len(w) > 0 && slices.Contains(keepalivedWords, w[0]) {
				return Keepalived(name, data, opts)
			}
		}
	}
	return Wackamole(name, data, opts)
}
