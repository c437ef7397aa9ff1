package metrics

import (
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"viplease/coordinator"
)

// render returns the page as a browser would read it.
func render(t *testing.T, s coordinator.Snapshot) (*html.Node, *httptest.ResponseRecorder) {
	t.Helper()
	w := httptest.NewRecorder()
	made(func() coordinator.Snapshot { return s }).page().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	doc, err := html.Parse(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	return doc, w
}

// all returns the elements of a name, in the order of the page.
func all(n *html.Node, name string) (list []*html.Node) {
	for c := range n.Descendants() {
		if c.Type == html.ElementNode && c.Data == name {
			list = append(list, c)
		}
	}
	return list
}

// read is what a reader sees of it.
func read(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode && c.Parent.Data != "style" {
			b.WriteString(c.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func TestPage(t *testing.T) {
	doc, w := render(t, cluster())
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	var nodes []string
	for _, th := range all(doc, "th") {
		if node := attr(th, "data-node"); node != "" {
			nodes = append(nodes, node)
		}
	}
	if got := strings.Join(nodes, " "); got != "node-1 node-2 node-3" {
		t.Errorf("the columns are %s", got)
	}
	var rows []string
	for _, tr := range all(doc, "tr") {
		if attr(tr, "data-vip") == "" {
			continue
		}
		row := attr(tr, "data-vip") + " " + attr(tr, "data-state")
		for _, td := range all(tr, "td") {
			row += " | " + read(td)
		}
		rows = append(rows, row)
	}
	want := `mail waiting |  |  |  | waiting : node-4 is gone; it may be taken in 2.1 s
db held |  | holds for 3 min |  | balance
web moving | hands over for 3 min | takes over |  | unheld`
	if got := strings.Join(rows, "\n"); got != want {
		t.Errorf("the rows are\n%s\nwant\n%s", got, want)
	}
	whole := read(doc)
	for _, s := range []string{"1 of 3 VIPs not up", "this node is ready", "fast takeover, guarded by 1", "2.7 s of 3 s left", "drained by <b>root</b>@node-3", "uses it <script>alert(1)</script>", "192.0.2.100/32", "2001:db8::100/128"} {
		if !strings.Contains(whole, s) {
			t.Errorf("%q is not on the page:\n%s", s, whole)
		}
	}
	if first, second := strings.Index(whole, "uses it"), strings.Index(whole, "node-4 is gone Jan"); second >= 0 && first > second {
		t.Error("the last event is not the first on the page")
	}
}

// The page runs no script, takes nothing from elsewhere, and comes again by itself.
func TestPageStandsAlone(t *testing.T) {
	doc, w := render(t, cluster())
	if len(all(doc, "script")) > 0 {
		t.Error("there is a script")
	}
	if regexp.MustCompile(`(?i)\son[a-z]+=|https?://|@import|url\(`).MatchString(w.Body.String()) {
		t.Error("something comes from elsewhere, or runs")
	}
	refreshes := false
	for _, m := range all(doc, "meta") {
		refreshes = refreshes || attr(m, "http-equiv") == "refresh" && attr(m, "content") == "5"
	}
	if !refreshes {
		t.Error("it does not refresh itself")
	}
	if p := w.Header().Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") {
		t.Errorf("its policy is %q", p)
	}
}

func TestPageInTrouble(t *testing.T) {
	s := cluster()
	s.Etcd = coordinator.EtcdStatus{Trouble: "no answer"}
	s.Frozen = "since noon"
	s.VIPs[0].Here = false
	s.VIPs[1].Here = true
	doc, _ := render(t, s)
	whole := read(doc)
	for _, want := range []string{"this node is not ready", "authority: no answer", "frozen since noon", "claimed, not up", "still up", "0.0 s of 3 s left", "2 of 3 VIPs not up", "shown as of revision 42"} {
		if !strings.Contains(whole, want) {
			t.Errorf("%q is not on the page:\n%s", want, whole)
		}
	}
	doc, _ = render(t, coordinator.Snapshot{Node: "n", Self: coordinator.SelfStatus{Trouble: "the coordinator does not answer"}})
	if whole := read(doc); !strings.Contains(whole, "loop: the coordinator does not answer") || !strings.Contains(whole, "None is known.") {
		t.Errorf("of a loop that hangs it says %s", whole)
	}
}

// TestPageSaysWhatTakeoverWaitsFor: a node that fast takeover does not cover says why, and one that takes no part says that.
func TestPageSaysWhatTakeoverWaitsFor(t *testing.T) {
	s := cluster()
	s.Takeover.Links[0].Witness = false
	doc, _ := render(t, s)
	if whole := read(doc); !strings.Contains(whole, "takeover is not fast") || !strings.Contains(whole, "takeover: no witness on net1") {
		t.Errorf("without a witness it says %s", whole)
	}
	s.Takeover.On = false
	doc, _ = render(t, s)
	if whole := read(doc); !strings.Contains(whole, "takeover waits for the lease") || strings.Contains(whole, "witness") {
		t.Errorf("without fast takeover it says %s", whole)
	}
}

// TestMarkup: whatever is shown ends neither the text nor the attribute that it stands in.
func TestMarkup(t *testing.T) {
	const hostile = "\"' onload=x <b>&amp;</td>"
	got := element("td", attrs{"class", "cell", "title", hostile}, text("%s", hostile))
	const escaped = "&#34;&#39; onload=x &lt;b&gt;&amp;amp;&lt;/td&gt;"
	if want := markup(`<td class="cell" title="` + escaped + `">` + escaped + `</td>`); got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
}

// TestPageTags: every element that is opened is closed; a parser would mend it in silence.
func TestPageTags(t *testing.T) {
	_, w := render(t, cluster())
	var open []string
	z := html.NewTokenizer(strings.NewReader(w.Body.String()))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("never closed: %v", open)
			}
			return
		case html.StartTagToken:
			if name := z.Token().Data; name != "meta" && name != "link" {
				open = append(open, name)
			}
		case html.EndTagToken:
			name := z.Token().Data
			if len(open) == 0 || open[len(open)-1] != name {
				t.Fatalf("</%s> closes %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

// Run with VIPLEASE_PAGE=FILE to look at the page of the tests.
func TestPageToLookAt(t *testing.T) {
	file := os.Getenv("VIPLEASE_PAGE")
	if file == "" {
		t.Skip("VIPLEASE_PAGE names no file to write")
	}
	_, w := render(t, cluster())
	if err := os.WriteFile(file, w.Body.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
