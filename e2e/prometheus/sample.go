package prometheus

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// sample is a number at a time, in milliseconds since 1970. It implements chunks.Sample.
type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// picked implements storage.SeriesSet over a list.
type picked struct {
	list []storage.Series
	at   int
}

func (p *picked) Next() bool                        { p.at++; return p.at < len(p.list) }
func (p *picked) At() storage.Series                { return p.list[p.at] }
func (p *picked) Err() error                        { return nil }
func (p *picked) Warnings() annotations.Annotations { return nil }
