// SPDX-License-Identifier: Apache-2.0

// Package controllers stands for the module of the same name, which the module proxy does
// not serve. It has the one constant of it that Cilium's operator uses.
package controllers

// DerivedServiceAnnotation names the service that stands for one of several clusters.
const DerivedServiceAnnotation = "multicluster.kubernetes.io/derived-service"
