package control

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// planned is what the plan commands print: the JSON of `plan --json`.
type planned struct {
	Assign   map[string]string `json:"assign"`
	Moves    []plannedMove     `json:"moves"`
	Unplaced []string          `json:"unplaced"`
}

type plannedMove struct {
	VIP   string `json:"vip"`
	From  string `json:"from"` // "": nobody holds it
	To    string `json:"to"`
	Why   string `json:"why"`
	Round int    `json:"round"`
}

func (c *commands) plan() *cobra.Command {
	var state string
	var without []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what would move, and why, without moving it",
		Long: "Show the moves that the cluster would make now, or without some of its nodes. With --state plan a situation out of a file, with\n" +
			"neither daemon nor etcd; - is stdin.",
		Example: "  viplease plan\n  viplease plan --without proxy-001 --without proxy-002\n  viplease plan --state state.json --json",
		Args:    cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			for _, node := range without {
				if err := checkName(node); err != nil {
					return wrongUsage{err}
				}
			}
			text, err := c.planText(cmd, state, without)
			if err != nil {
				return err
			}
			return c.writePlan(cmd.OutOrStdout(), text, asJSON)
		}),
	}
	cmd.Flags().StringVar(&state, "state", "", "plan the situation in `FILE`")
	cmd.Flags().StringArrayVar(&without, "without", nil, "as if `NODE` were drained; may be repeated")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.RegisterFlagCompletionFunc("without", c.completeNode)
	return cmd
}

func (c *commands) planText(cmd *cobra.Command, state string, without []string) ([]byte, error) {
	if state != "" {
		text, err := readState(state, cmd.InOrStdin())
		if err != nil {
			return nil, err
		}
		return c.PlanFile(text, without)
	}
	s, err := c.session(cmd, "this is planned from what etcd says")
	if err != nil {
		return nil, err
	}
	defer s.end()
	var text []byte
	err = s.do(cmd.Context(), func(p party) error {
		text, err = p.Plan(cmd.Context(), without)
		return err
	})
	return text, err
}

func (c *commands) writePlan(out io.Writer, text []byte, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(out, "%s\n", strings.TrimRight(string(text), "\n"))
		return err
	}
	p, err := parsePlan(text)
	if err != nil {
		return err
	}
	return c.screen(out).print(out, c.screen(out).plan(p))
}

func parsePlan(text []byte) (planned, error) {
	var p planned
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("read the plan: %w", err)
	}
	return p, nil
}

// plan lays a plan out: the moves in their order, then the sum.
func (s screen) plan(p planned) []string {
	var lines []string
	if len(p.Moves) > 0 {
		lines = append(s.moves(p.Moves), "")
	}
	return append(lines, planSum(p))
}

func (s screen) moves(moves []plannedMove) []string {
	t := table{head: []string{"VIP", "FROM", "TO", "ROUND", "WHY"}, right: []bool{3: true}}
	for _, m := range moves {
		t.rows = append(t.rows, row{cells: []string{m.VIP, orDash(m.From), orDash(m.To), strconv.Itoa(m.Round)}, why: m.Why})
	}
	return s.table(t)
}

func planSum(p planned) string {
	sum := "nothing would move"
	if n := len(p.Moves); n > 0 {
		rounds := map[int]bool{}
		for _, m := range p.Moves {
			rounds[m.Round] = true
		}
		sum = fmt.Sprintf("%s in %s", count(n, "move"), count(len(rounds), "round"))
	}
	if n := len(p.Unplaced); n > 0 {
		sum += fmt.Sprintf("; %s without a node that can hold it: %s", count(n, "VIP"), shortList(p.Unplaced))
	}
	return sum
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
