package asl

import "errors"

func array(args []any) (any, error) { return args, nil }

func arrayPartition(args []any) (any, error) {
	list, err := asList(args[0])
	if err != nil {
		return nil, err
	}
	size, err := asInteger(args[1])
	if err != nil {
		return nil, err
	}
	if size < 1 {
		return nil, errors.New("the size is below 1")
	}
	parts := []any{}
	for len(list) > 0 {
		n := int(min(size, int64(len(list))))
		parts = append(parts, list[:n:n])
		list = list[n:]
	}
	return parts, nil
}

func arrayContains(args []any) (any, error) {
	list, err := asList(args[0])
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if equal(e, args[1]) {
			return true, nil
		}
	}
	return false, nil
}

func arrayRange(args []any) (any, error) {
	var bounds [3]int64
	for i, a := range args {
		n, err := asInteger(a)
		if err != nil {
			return nil, err
		}
		bounds[i] = n
	}
	first, last, step := bounds[0], bounds[1], bounds[2]
	if step == 0 {
		return nil, errors.New("the step is 0")
	}
	list := []any{}
	for n := first; step > 0 && n <= last || step < 0 && n >= last; n += step {
		if len(list) == 1000 {
			return nil, errors.New("the array has more than 1000 elements")
		}
		list = append(list, number(n))
	}
	return list, nil
}

func arrayGetItem(args []any) (any, error) {
	list, err := asList(args[0])
	if err != nil {
		return nil, err
	}
	i, ok := whole(args[1])
	if !ok || i < 0 || i >= int64(len(list)) {
		return nil, errors.New("the index is not in the array")
	}
	return list[i], nil
}

func arrayLength(args []any) (any, error) {
	list, err := asList(args[0])
	if err != nil {
		return nil, err
	}
	return number(int64(len(list))), nil
}

func arrayUnique(args []any) (any, error) {
	list, err := asList(args[0])
	if err != nil {
		return nil, err
	}
	unique := []any{}
next:
	for _, e := range list {
		for _, u := range unique {
			if equal(e, u) {
				continue next
			}
		}
		unique = append(unique, e)
	}
	return unique, nil
}

func asList(v any) ([]any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errors.New("the first argument is no array")
	}
	return list, nil
}
