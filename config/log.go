package config

import "log/slog"

// Log is how the daemon writes its log, to standard error.
type Log struct {
	JSON  bool       // one JSON object a line; else text, key=value
	Level slog.Level // what is less than this is left out
}

func readLog(t table) Log {
	var l Log
	t.want("format", `"text" or "json"`, "", "")
	switch v, _ := t.value("format"); v {
	case nil, "text":
	case "json":
		l.JSON = true
	default:
		t.wrongChoice("format", v, `"text" or "json"`)
	}
	t.want("level", `"info", "warn" or "debug"`, "", "")
	switch v, _ := t.value("level"); v {
	case nil, "info":
	case "warn":
		l.Level = slog.LevelWarn
	case "debug":
		l.Level = slog.LevelDebug
	default:
		t.wrongChoice("level", v, `"info", "warn" or "debug"`)
	}
	return l
}

func (l Log) describe() string {
	form := "text"
	if l.JSON {
		form = "JSON"
	}
	return map[slog.Level]string{
		slog.LevelDebug: form + ", with every step", slog.LevelInfo: form, slog.LevelWarn: form + ", of what goes wrong alone",
	}[l.Level]
}
