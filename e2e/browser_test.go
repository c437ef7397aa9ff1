package e2e

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"viplease/e2e/cluster"
	"viplease/e2e/lab"
)

// TestPageInBrowser: a real browser shows the page of a live cluster, wide and on a telephone, light and dark. The pictures stay in
// the folder that VIPLEASE_SCREENSHOTS names, for somebody to look at.
func TestPageInBrowser(t *testing.T) {
	if !*long {
		t.Skip("only in the long form: scripts/test --long")
	}
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("there is no Chromium: apt-get install chromium")
		}
		t.Skip("THE PAGE WAS NOT SEEN IN A BROWSER: there is no Chromium; apt-get install chromium")
	}
	c := cluster.Start(t, cluster.Options{VIPs: 9, Tables: "[metrics]\nlisten = \":9846\"\n"})
	c.Within(cluster.Wait+10*time.Second, "cold start", c.Even(c.Nodes...))
	m := monitor(t, c)
	m.page(c)
	page := m.url(c.Nodes[1], "/")
	dir := os.Getenv("VIPLEASE_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	for _, view := range []struct {
		name          string
		width, height int
		flags         []string
	}{
		{"wide", 1200, 900, nil}, {"dark", 1200, 900, []string{"--blink-settings=preferredColorScheme=0", "--force-dark-mode"}}, {"phone", 500, 900, nil}, // a window has 500 at least
	} {
		file := filepath.Join(dir, view.name+".png")
		shows(t, c, browser, append(view.flags, "--screenshot="+file, fmt.Sprintf("--window-size=%d,%d", view.width, view.height), page)...)
		looksLikeAPage(t, file, view.width, view.height)
	}
	dom := shows(t, c, browser, "--dump-dom", page)
	for _, v := range c.VIPs {
		if !strings.Contains(dom, `data-vip="`+v.String()+`"`) {
			t.Errorf("the browser shows no row of %s", v)
		}
	}
	c.Etcd.Servers[0].Cut()
	m.answers(c.Nodes[1], "/readyz", 503, "FAIL authority")
	file := filepath.Join(dir, "trouble.png")
	shows(t, c, browser, "--screenshot="+file, "--window-size=1200,900", page)
	looksLikeAPage(t, file, 1200, 900)
}

// shows runs the browser without a window on the management network, and returns what it printed.
func shows(t *testing.T, c *cluster.Cluster, browser string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, browser, append([]string{"--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir=" + t.TempDir()}, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, time.Second
	if err := lab.Do(c.NetNS(), cmd.Run); err != nil || strings.Contains(errs.String(), "Page load failed") {
		t.Fatalf("%s: %v\n%s", browser, err, errs.String())
	}
	return out.String()
}

// looksLikeAPage holds that a picture has the size and more than a few colours: it is not blank.
func looksLikeAPage(t *testing.T, file string, width, height int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if b := picture.Bounds(); b.Dx() != width || b.Dy() != height {
		t.Errorf("%s is %v", file, b)
	}
	colours := map[any]bool{}
	for y := 0; y < height; y += 3 {
		for x := 0; x < width; x += 3 {
			colours[picture.At(x, y)] = true
		}
	}
	t.Logf("%s: %d colours", file, len(colours))
	if len(colours) < 20 {
		t.Errorf("%s has %d colours", file, len(colours))
	}
}
