//go:build !linux

package main

import (
	"os/exec"
	"runtime"
)

const pinning = "NOT pinned to cores, and no CPU times or memory: those need Linux"

func cores(side) int { return runtime.GOMAXPROCS(0) }

func startOn(cmd *exec.Cmd, _ side) error { return cmd.Start() }

// usageOf knows nothing here: the figures are left out.
func usageOf(int) (usage, error) { return usage{}, nil }

func tooManyStreams(int) string { return "" }

func cpuModel() string { return runtime.GOARCH }

func kernel() string { return runtime.GOOS }
