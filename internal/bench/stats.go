package main

import (
	"math"
	"slices"
	"strconv"
	"time"
)

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// percentiles are the 50th and the 99th, in microseconds. It sorts all.
func percentiles(all []time.Duration) (p50, p99 float64) {
	slices.Sort(all)
	return micros(percentile(all, 50)), micros(percentile(all, 99))
}

// percentile is the smallest value that p percent of all do not exceed (nearest
// rank); all must be sorted.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(all))))
	return all[max(rank, 1)-1]
}

// median of values, which it sorts. Of an even number it is the mean of the two
// in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// medians takes the median of each figure. A figure counts only if every round
// has it.
func medians(rounds []map[string]float64) map[string]float64 {
	found := map[string]float64{}
	if len(rounds) == 0 {
		return found
	}
	for key := range rounds[0] {
		var values []float64
		for _, round := range rounds {
			if value, ok := round[key]; ok {
				values = append(values, value)
			}
		}
		if len(values) == len(rounds) {
			found[key] = median(values)
		}
	}
	return found
}

// ratios divides ours by theirs, where both are there and theirs is not 0.
func ratios(ours, theirs map[string]float64) map[string]float64 {
	found := map[string]float64{}
	for key, value := range ours {
		if base, ok := theirs[key]; ok && base != 0 {
			found[key] = value / base
		}
	}
	return found
}

// amount writes a figure with three significant digits or as a whole number.
func amount(v float64, unit string) string {
	switch {
	case unit == "us" && math.Abs(v) >= 10_000:
		v, unit = v/1000, "ms"
	case unit == "us":
		unit = "µs"
	}
	text := grouped(int(math.Round(v)))
	if size := math.Abs(v); size < 100 && v != math.Trunc(v) {
		text = strconv.FormatFloat(v, 'f', 1, 64)
	}
	if unit == "/s" || unit == "" {
		return text
	}
	return text + " " + unit
}

// grouped writes 12345 as 12,345.
func grouped(n int) string {
	digits, sign := strconv.Itoa(n), ""
	if n < 0 {
		digits, sign = digits[1:], "-"
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

func itoa(n int) string { return strconv.Itoa(n) }
