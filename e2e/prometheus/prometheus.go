// Package prometheus is Prometheus without its server: it scrapes into memory and answers queries with Prometheus's own engine, so that alert rules and
// dashboards can be held against daemons that run.
package prometheus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// Job is the label job of every sample, as the alert rules expect it.
const Job = "viplease"

// Server keeps samples and answers queries. Its methods may be called concurrently.
type Server struct {
	client *http.Client
	engine *promql.Engine

	mu     sync.Mutex
	series map[string]*series
}

// New makes a Server that scrapes with the client.
func New(client *http.Client) *Server {
	return &Server{
		client: client, series: map[string]*series{},
		engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 10_000_000, Timeout: 10 * time.Second}),
	}
}

// Scrape takes the numbers at url in, as those of the instance, and up besides, 0 when there is no answer: then it returns why.
func (s *Server) Scrape(ctx context.Context, instance, url string) error {
	text, err := s.fetch(ctx, url)
	at := time.Now()
	up := 1.0
	if err == nil {
		err = s.take(instance, text, at)
	}
	if err != nil {
		up = 0
	}
	s.add(labels.FromStrings(model.MetricNameLabel, "up", "instance", instance, "job", Job), at, up)
	return err
}

func (s *Server) fetch(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scrape %s: %s", url, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// take parses the text format.
func (s *Server) take(instance string, text []byte, at time.Time) error {
	p := textparse.NewPromParser(text, labels.NewSymbolTable(), false)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("scrape %s: %w", instance, err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, value := p.Series()
		var set labels.Labels
		p.Labels(&set)
		s.add(labels.NewBuilder(set).Set("instance", instance).Set("job", Job).Labels(), at, value)
	}
}

func (s *Server) add(set labels.Labels, at time.Time, value float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := set.String()
	if s.series[key] == nil {
		s.series[key] = &series{labels: set}
	}
	s.series[key].samples = append(s.series[key].samples, sample{at.UnixMilli(), value})
}

// Query evaluates an expression now.
func (s *Server) Query(ctx context.Context, expression string) (promql.Vector, error) {
	q, err := s.engine.NewInstantQuery(ctx, s, nil, expression, time.Now())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expression, err)
	}
	defer q.Close()
	result := q.Exec(ctx)
	if result.Err != nil {
		return nil, fmt.Errorf("%s: %w", expression, result.Err)
	}
	v, err := result.Vector()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expression, err)
	}
	return slices.Clone(v), nil // the engine uses the rest again
}

// Metrics returns the names of the metrics in an expression.
func Metrics(expression string) ([]string, error) {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expression, err)
	}
	var names []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			names = append(names, v.Name)
		}
		return nil
	})
	return names, nil
}

// Querier implements storage.Queryable.
func (s *Server) Querier(_, _ int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: s.pick}, nil
}

// pick returns the series that all matchers match, in order.
func (s *Server) pick(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := &picked{at: -1}
	for _, one := range s.series {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(one.labels.Get(m.Name)) }) {
			set.list = append(set.list, storage.NewListSeries(one.labels, slices.Clone(one.samples)))
		}
	}
	slices.SortFunc(set.list, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return set
}

// series is one line of samples, in the order of time.
type series struct {
	labels  labels.Labels
	samples []chunks.Sample
}
