package sim

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	costsPath      = "/v1/organization/costs"
	defaultProject = "proj_default" // of calls that name none
	daySeconds     = 24 * 60 * 60
	maxSpent       = 10_000 // days and projects that are told apart
)

// Spent is what one project was billed on one day.
type Spent struct {
	Day     string `json:"day"`     // "2026-11-21", UTC
	Project string `json:"project"` // "": proj_default
	Nano    int64  `json:"nano"`    // nano-dollars
}

// spentKey is a day since 1970, and a project.
type spentKey struct {
	day     int64
	project string
}

// spend books an amount; b.mu is held.
func (b *books) spend(at time.Time, project string, nano int64) {
	key := spentKey{at.Unix() / daySeconds, cmp.Or(project, defaultProject)}
	if _, known := b.spent[key]; !known && len(b.spent) >= maxSpent {
		key.project = "proj_others"
	}
	if b.spent == nil {
		b.spent = map[spentKey]int64{}
	}
	b.spent[key] += nano
}

// addSpent books what was spent elsewhere, or long ago.
func (s *Sim) addSpent(w http.ResponseWriter, r *http.Request) {
	var said []Spent
	if err := json.UnmarshalRead(http.MaxBytesReader(w, r.Body, 1<<20), &said, json.RejectUnknownMembers(true)); err != nil {
		complain(w, http.StatusBadRequest, fmt.Errorf(`want a JSON array such as [{"day": "2026-11-20", "project": "proj_a", "nano": 1000000}]: %w`, err))
		return
	}
	days := make([]time.Time, len(said))
	for i, one := range said {
		at, err := time.Parse(time.DateOnly, one.Day)
		if err != nil {
			complain(w, http.StatusBadRequest, errors.New("day: want one such as 2026-11-20"))
			return
		}
		days[i] = at
	}
	s.books.mu.Lock()
	for i, one := range said {
		s.books.spend(days[i], one.Project, one.Nano)
	}
	s.books.mu.Unlock()
	show(w, http.StatusOK, said)
}

// costs answers GET /v1/organization/costs, from the simulator's own bill.
func (c *call) costs() error {
	if _, err := c.receive(); err != nil {
		return err
	}
	scheme, key, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer") || key == "":
		return noKey()
	case c.sim.options.AdminKey != "" && key != c.sim.options.AdminKey:
		return wrongKey(key)
	case c.r.Method != http.MethodGet:
		return wrongMethod(c.r)
	}
	q, err := c.costsQuery()
	if err != nil {
		return err
	}
	c.json(c.sim.costsPage(q))
	return nil
}

// costsQuery is what is asked for: days since 1970, from and before.
type costsQuery struct {
	from, before int64
	limit        int64
	projects     []string
	byProject    bool
}

func (c *call) costsQuery() (q costsQuery, err error) {
	in := c.r.URL.Query()
	number := func(name string, fallback int64) int64 {
		text := in.Get(name)
		if text == "" {
			return fallback
		}
		n, e := strconv.ParseInt(text, 10, 64)
		if e != nil || n < 0 {
			err = &refusal{http.StatusBadRequest, "Invalid value for '" + name + "'.", invalidRequest, name, "invalid_value"}
		}
		return n
	}
	start := number("start_time", -1)
	if in.Get("page") != "" {
		start = number("page", 0) * daySeconds // our cursor is the next day
	}
	end := number("end_time", time.Now().Unix())
	q.limit = number("limit", 7)
	q.projects = append(in["project_ids"], in["project_ids[]"]...)
	q.byProject = slices.Contains(append(in["group_by"], in["group_by[]"]...), "project_id")
	switch {
	case err != nil:
		return q, err
	case in.Get("start_time") == "":
		return q, &refusal{http.StatusBadRequest, "Missing required parameter: 'start_time'.", invalidRequest, "start_time", "missing_required_parameter"}
	case q.limit < 1 || q.limit > 180:
		return q, &refusal{http.StatusBadRequest, "Invalid 'limit': must be between 1 and 180.", invalidRequest, "limit", "invalid_value"}
	case in.Get("bucket_width") != "" && in.Get("bucket_width") != "1d":
		return q, &refusal{http.StatusBadRequest, "Invalid 'bucket_width': only '1d' is supported.", invalidRequest, "bucket_width", "invalid_value"}
	}
	q.from, q.before = start/daySeconds, (end+daySeconds-1)/daySeconds
	return q, nil
}

// costsPage writes as many days as are asked for, those without costs too.
func (s *Sim) costsPage(q costsQuery) []byte {
	body := []byte(`{"object":"page","data":[`)
	day := q.from
	for ; day < q.before && day < q.from+q.limit; day++ {
		if day > q.from {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"object":"bucket","start_time":%d,"end_time":%d,"results":[`, day*daySeconds, (day+1)*daySeconds)
		for i, one := range s.spentOn(day, q) {
			if i > 0 {
				body = append(body, ',')
			}
			body = append(body, `{"object":"organization.costs.result","amount":{"value":`...)
			body = fmt.Appendf(body, `%d.%09d,"currency":"usd"},"line_item":null,"project_id":`, one.Nano/1e9, one.Nano%1e9)
			if one.Project == "" {
				body = append(body, "null"...)
			} else {
				body = appendString(body, one.Project, false)
			}
			body = append(body, `,"api_key_id":null,"quantity":null,"quantity_unit":null}`...)
		}
		body = append(body, "]}"...)
	}
	if day < q.before {
		return fmt.Appendf(body, `],"has_more":true,"next_page":"%d"}`, day)
	}
	return append(body, `],"has_more":false,"next_page":null}`...)
}

// spentOn is a day's costs, by project or in one sum. A day without has none.
func (s *Sim) spentOn(day int64, q costsQuery) (all []Spent) {
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	sum, some := int64(0), false
	for key, nano := range s.books.spent {
		if key.day != day || len(q.projects) > 0 && !slices.Contains(q.projects, key.project) {
			continue
		}
		sum, some = sum+nano, true
		all = append(all, Spent{Project: key.project, Nano: nano})
	}
	if !q.byProject && some {
		return []Spent{{Nano: sum}}
	}
	slices.SortFunc(all, func(a, b Spent) int { return strings.Compare(a.Project, b.Project) })
	return all
}
