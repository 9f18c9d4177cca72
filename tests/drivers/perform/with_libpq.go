// Performs the script with lib/pq: JSON on standard input, a line of JSON for each operation on standard output.
package main

import (
	"context"
	"crypto/md5"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lib/pq"
)

const secondsMax = 20 * time.Second

type value struct {
	kind string
	data any
}

func (v *value) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&v.kind, &v.data})
}

type operation struct {
	Do         string
	On         string
	SQL        string
	With       []value
	Keep       string
	Wait       *bool
	Digest     bool
	Data       string
	Channel    string
	Count      int
	Isolation  string
	ReadOnly   bool `json:"read_only"`
	Deferrable bool
}

type run struct {
	Name  string
	Door  map[string]any
	Steps []struct {
		Name  string
		Fresh bool
		Ops   []operation
	}
}

type task struct {
	Options map[string]string
	Runs    []run
}

type line map[string]any

// What a connection and a transaction have in common.
type queryer interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	PrepareContext(context.Context, string) (*sql.Stmt, error)
}

type session struct {
	words    string
	db       *sql.DB
	connect  *sql.Conn
	tx       *sql.Tx
	kept     map[string]*sql.Stmt
	notices  []any
	listener *pq.Listener
	running  chan line
	cancel   context.CancelFunc
}

func open(door map[string]any, options map[string]string) *session {
	words := fmt.Sprintf("sslmode=verify-full application_name=matrix port=%v", door["port"])
	for name, key := range map[string]string{
		"host": "host", "user": "user", "password": "password", "dbname": "database", "sslrootcert": "ca",
	} {
		words += fmt.Sprintf(" %s='%v'", name, door[key])
	}
	for name, option := range options {
		words += fmt.Sprintf(" %s=%s", name, option)
	}
	s := &session{words: words, kept: map[string]*sql.Stmt{}, running: make(chan line, 1)}
	connector, err := pq.NewConnector(words)
	must(err)
	s.db = sql.OpenDB(pq.ConnectorWithNoticeHandler(connector, func(notice *pq.Error) {
		s.notices = append(s.notices, fields(notice))
	}))
	s.connect, err = s.db.Conn(context.Background())
	must(err)
	return s
}

func (s *session) close() {
	if s.listener != nil {
		s.listener.Close()
	}
	for _, each := range s.kept {
		each.Close()
	}
	if s.tx != nil {
		s.tx.Rollback()
	}
	s.connect.Close()
	s.db.Close()
}

func (s *session) start(op operation) {
	var limits context.Context
	limits, s.cancel = context.WithCancel(context.Background())
	go func() {
		out := line{}
		if err := s.perform(limits, op, out); err != nil {
			out["error"] = complaint(err)
		}
		out["notices"], s.notices = s.notices, nil
		s.running <- out
	}()
}

func (s *session) queryer() queryer {
	if s.tx != nil {
		return s.tx
	}
	return s.connect
}

func (s *session) perform(limits context.Context, op operation, out line) (err error) {
	switch op.Do {
	case "run":
		rows, err := s.queryer().QueryContext(limits, op.SQL)
		if err != nil {
			return err
		}
		return results(rows, op.Digest, out)
	case "ask":
		return s.ask(limits, op, out)
	case "copy_in":
		return s.copyIn(limits, op, out)
	case "begin":
		levels := map[string]sql.IsolationLevel{
			"READ COMMITTED": sql.LevelReadCommitted, "REPEATABLE READ": sql.LevelRepeatableRead, "SERIALIZABLE": sql.LevelSerializable,
		}
		// The transaction outlives this operation.
		s.tx, err = s.connect.BeginTx(context.Background(), &sql.TxOptions{Isolation: levels[op.Isolation], ReadOnly: op.ReadOnly})
		if err == nil && op.Deferrable {
			_, err = s.tx.ExecContext(limits, "SET TRANSACTION DEFERRABLE")
		}
		return err
	case "commit", "rollback":
		tx := s.tx
		s.tx = nil
		if op.Do == "commit" {
			return tx.Commit()
		}
		return tx.Rollback()
	case "listen":
		if s.listener == nil {
			s.listener = pq.NewListener(s.words, time.Second, time.Second, nil)
		}
		return s.listener.Listen(strings.Trim(op.Channel, `"`))
	case "hear":
		heard := []string{}
		for len(heard) < op.Count {
			select {
			case note := <-s.listener.Notify:
				if note != nil {
					heard = append(heard, note.Channel+": "+note.Extra)
				}
			case <-time.After(secondsMax):
				return errors.New("heard nothing more")
			}
		}
		sort.Strings(heard)
		out["heard"] = heard
		return nil
	}
	panic(op.Do)
}

func (s *session) ask(limits context.Context, op operation, out line) (err error) {
	var rows *sql.Rows
	if op.Keep == "" {
		rows, err = s.queryer().QueryContext(limits, op.SQL, arguments(op.With)...)
	} else {
		statement := s.kept[op.SQL]
		if statement == nil {
			if statement, err = s.connect.PrepareContext(limits, op.SQL); err != nil {
				return err
			}
			s.kept[op.SQL] = statement
		}
		rows, err = statement.QueryContext(limits, arguments(op.With)...)
	}
	if err != nil {
		return err
	}
	return results(rows, op.Digest, out)
}

// COPY in lib/pq wants a transaction; where the script has none, it gets one.
func (s *session) copyIn(limits context.Context, op operation, out line) error {
	err := s.copyLines(limits, op, out)
	if err == nil || !strings.Contains(err.Error(), "inside a transaction") {
		return err
	}
	if _, err = s.connect.ExecContext(limits, "BEGIN"); err != nil {
		return err
	}
	if err = s.copyLines(limits, op, out); err != nil {
		s.connect.ExecContext(limits, "ROLLBACK")
		return err
	}
	_, err = s.connect.ExecContext(limits, "COMMIT")
	return err
}

func (s *session) copyLines(limits context.Context, op operation, out line) error {
	data, err := base64.StdEncoding.DecodeString(op.Data)
	must(err)
	return s.connect.Raw(func(raw any) error {
		statement, err := raw.(driver.Conn).Prepare(op.SQL)
		if err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		for _, each := range lines {
			if each == "" && len(lines) == 1 {
				break
			}
			if _, err = statement.(interface {
				CopyData(context.Context, string) (driver.Result, error)
			}).CopyData(limits, each); err != nil {
				statement.Close()
				return err
			}
		}
		result, err := statement.Exec(nil)
		if err == nil {
			out["count"], _ = result.RowsAffected()
		}
		return err
	})
}

func arguments(values []value) []any {
	made := make([]any, len(values))
	for i, each := range values {
		made[i] = argument(each)
	}
	return made
}

func argument(v value) any {
	if v.data == nil {
		return nil
	}
	switch v.kind {
	case "int":
		return int64(v.data.(float64))
	case "bytes":
		bytes, err := hex.DecodeString(v.data.(string))
		must(err)
		return bytes
	case "timestamptz":
		moment, err := time.Parse(time.RFC3339, v.data.(string))
		must(err)
		return moment
	case "int[]":
		numbers := []sql.NullInt64{}
		for _, each := range v.data.([]any) {
			number, valid := each.(float64)
			numbers = append(numbers, sql.NullInt64{Int64: int64(number), Valid: valid})
		}
		return pq.Array(numbers)
	case "text[]":
		texts := []sql.NullString{}
		for _, each := range v.data.([]any) {
			text, valid := each.(string)
			texts = append(texts, sql.NullString{String: text, Valid: valid})
		}
		return pq.Array(texts)
	}
	return v.data
}

// All results of a query, which may be several.
func results(rows *sql.Rows, digest bool, out line) error {
	defer rows.Close()
	all := []any{}
	for {
		types, err := rows.ColumnTypes()
		if err != nil {
			return err
		}
		columns, cells, places := []any{}, make([]any, len(types)), make([]any, len(types))
		for i, each := range types {
			length, _ := each.Length()
			precision, scale, _ := each.DecimalSize()
			columns = append(columns, []any{each.Name(), each.DatabaseTypeName(), length, precision, scale})
			places[i] = &cells[i]
		}
		lines, hash, count := []any{}, md5.New(), 0
		for rows.Next() {
			if err := rows.Scan(places...); err != nil {
				return err
			}
			row := make([]any, len(cells))
			for i, cell := range cells {
				row[i] = shown(cell)
			}
			count++
			if digest {
				fmt.Fprintf(hash, "%q\n", row)
			} else {
				lines = append(lines, row)
			}
		}
		if digest {
			all = append(all, line{"columns": columns, "rows": count, "hash": fmt.Sprintf("%x", hash.Sum(nil))})
		} else {
			all = append(all, line{"columns": columns, "rows": lines})
		}
		if !rows.NextResultSet() {
			break
		}
	}
	out["results"] = all
	return rows.Err()
}

// lib/pq makes some cells Go's values and leaves the others as they came.
func shown(cell any) any {
	switch v := cell.(type) {
	case nil:
		return nil
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return fmt.Sprintf("%q", v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return fmt.Sprint(cell)
}

func complaint(err error) any {
	var said *pq.Error
	if errors.As(err, &said) {
		return fields(said)
	}
	return err.Error()
}

func fields(said *pq.Error) any {
	return []any{
		said.Severity, said.Code, said.Message, said.Detail, said.Hint, said.Position, said.InternalPosition,
		said.InternalQuery, said.Where, said.Schema, said.Table, said.Column, said.DataTypeName, said.Constraint,
		said.File, said.Line, said.Routine,
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func perform(r run, options map[string]string, lines *json.Encoder) {
	sessions := map[string]*session{}
	closeAll := func() {
		for name, each := range sessions {
			each.close()
			delete(sessions, name)
		}
	}
	for _, step := range r.Steps {
		for number, op := range step.Ops {
			if op.On == "" {
				op.On = "a"
			}
			if sessions[op.On] == nil {
				sessions[op.On] = open(r.Door, options)
			}
			on, out := sessions[op.On], line{}
			if op.Do == "cancel" {
				on.cancel()
			} else {
				if op.Do != "join" {
					on.start(op)
				}
				if op.Wait == nil || *op.Wait {
					out = <-on.running
				}
			}
			out["run"], out["step"], out["op"] = r.Name, step.Name, number
			must(lines.Encode(out))
		}
		if step.Fresh {
			closeAll()
		}
	}
	closeAll()
}

func main() {
	t := &task{}
	must(json.NewDecoder(os.Stdin).Decode(t))
	lines := json.NewEncoder(os.Stdout)
	for _, each := range t.Runs {
		perform(each, t.Options, lines)
	}
}
