package importer

// feature is a key of the TOML that a version of viplease may lack.
type feature string

const (
	hooks  feature = "hooks"
	checks feature = "check"
)

// unbuilt is what this version of viplease does not carry out, and what the
// note about it says. What it refuses (config/unbuilt.go) is printed as a
// comment. When a thing is built, delete its row.
var unbuilt = map[feature]string{
	hooks: "this version of viplease runs no hooks",
}

// lacking is the end of a note about a feature, told once in a file: "; this
// version ...", or "".
func (r *report) lacking(f feature) string {
	text, lacks := unbuilt[f]
	if !lacks || !r.once(text) {
		return ""
	}
	return "; " + text
}
