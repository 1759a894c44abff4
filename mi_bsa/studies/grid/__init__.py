"""Studies over points that differ along an axis: size, variety, faithfulness, personas."""
